import { randomBytes, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LiveSite } from '../client/live-site.js';
import { PageClient } from './client.js';
import { bytes, int } from './protobuf.js';

/** From the page: eight groups, each a 16-bit number times 11. */
const password = (): string =>
  Array.from({ length: 8 }, (_, group) =>
    String((randomBytes(16).readUInt16LE(group * 2) % 65536) * 11).padStart(6, '0'),
  ).join('-');
const plain = (guid: string): string => guid.replaceAll('-', '');

let site: LiveSite;
let client: PageClient;
beforeAll(async () => {
  site = await LiveSite.start();
  client = new PageClient(site.url);
});
afterAll(async () => {
  client.close();
  await site.stop();
});

test('the client of the page imports nothing of the product', () => {
  const folder = new URL('.', import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  expect(files.sort()).toEqual(['client.ts', 'jose.ts', 'protobuf.ts']);
  for (const name of files) {
    const imports = readFileSync(new URL(name, folder), 'utf8').matchAll(/from '([^']+)'/g);
    for (const [, from] of imports) expect(from).toMatch(/^(node:[a-z]+|\.\/(jose|protobuf)\.js)$/);
  }
});

test('it believes the site by the token, registers, and may send the registration again', async () => {
  await client.trust(site.enrolmentToken);
  expect(await client.register(site.enrolmentToken)).toBe(1n); // REGISTERED
  expect(await client.register(site.enrolmentToken)).toBe(2n); // ALREADY_REGISTERED
});

test('it gets a token, escrows, and verifies a reply that lists its key ID as committed', async () => {
  await client.authenticate();
  const [volume, key] = [randomUUID(), randomUUID()];
  const message = client.escrow(volume, [{ keyId: key, password: password() }]);
  const first = await client.send(message);
  expect(first.disposition).toBe('COMMITTED');
  expect(first.keys.get(plain(key))).toEqual({ status: 1n, reason: 0n, badGroup: 0n });
  expect(first.highestSequence).toBe(client.sequence);
  expect(first.documentVersion).toBe(1n);

  const again = await client.send(message);
  expect(again.disposition).toBe('ALREADY_COMMITTED');
  expect(again.keys.get(plain(key))?.status).toBe(1n);

  const asked = await client.ask(message);
  expect(asked.status).toBe(200);
  expect(['COMMITTED', 'ALREADY_COMMITTED']).toContain(asked.verdict?.disposition);

  const found = await site.store.findKeys(key.slice(0, 8), 10);
  expect(found.map((one) => one.keyId)).toEqual([key]);
});

test('PARTIAL names the bad group; a listed key without a secret is asked for', async () => {
  const [good, bad, bare] = [randomUUID(), randomUUID(), randomUUID()];
  const verdict = await client.send(
    client.escrow(randomUUID(), [
      { keyId: good, password: password() },
      { keyId: bad, password: '111111-222222-333333-444444-555555-666666-777777-888888' },
      { keyId: bare },
    ]),
  );
  expect(verdict.disposition).toBe('PARTIAL');
  expect(verdict.keys.get(plain(good))?.status).toBe(1n);
  expect(verdict.keys.get(plain(bad))).toEqual({ status: 2n, reason: 1n, badGroup: 7n });
  expect(verdict.keys.get(plain(bare))?.status).toBe(3n);
});

test('one id with another payload is refused, sealed, and changes nothing', async () => {
  const message = client.escrow(randomUUID(), [{ keyId: randomUUID(), password: password() }]);
  expect((await client.send(message)).disposition).toBe('COMMITTED');
  // The created-at time (field 7) in the payload differs: another payload under the same id.
  const other = { ...message, payload: Buffer.concat([message.payload, int(7, 1)]) };
  const refused = await client.send(other);
  expect(refused).toMatchObject({ disposition: 'REJECTED', reason: 5n });
  expect((await client.send(message)).disposition).toBe('ALREADY_COMMITTED');
});

test('a body of the future is kept, two bodies are malformed, an unknown id is 404', async () => {
  const future = await client.send(client.message(99, 99, bytes(1, 'x')));
  expect(future).toMatchObject({ disposition: 'QUARANTINED', reason: 14n });
  const twice = client.escrow(randomUUID(), [{ keyId: randomUUID(), password: password() }]);
  const two = { ...twice, payload: Buffer.concat([twice.payload, bytes(17, Buffer.alloc(0))]) };
  expect(await client.send(two)).toMatchObject({ disposition: 'REJECTED', reason: 4n });
  const unsent = client.escrow(randomUUID(), []);
  expect(await client.ask(unsent)).toEqual({ status: 404, verdict: null });
});

test('a sequence above 2^53 stays exact', async () => {
  client.sequence = 9_007_199_254_740_992n;
  const verdict = await client.send(
    client.escrow(randomUUID(), [{ keyId: randomUUID(), password: password() }]),
  );
  expect(verdict.highestSequence).toBe(9_007_199_254_740_993n);
});
