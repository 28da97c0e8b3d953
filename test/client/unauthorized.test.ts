import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  MemoryStateStore,
  MpeClient,
  randomRecoveryPassword,
  type EnrolOptions,
} from '../../src/client/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import { openStore } from '../../src/store/open-store.js';
import { DeviceIssuer } from '../support/device-issuer.js';
import { TestCa } from '../support/pki.js';
import { tempFolder } from '../support/temp.js';
import { LiveSite } from './live-site.js';
import { StolenGateway } from './stolen-gateway.js';

// The rule for a 401, end to end and counted: one new token, then back off; never a new registration.

const YEARS_MS = 10 * 365 * 86_400_000;
const HOURS_MS = 3_600_000;

async function escrowOne(client: MpeClient): Promise<void> {
  await client.escrow([
    {
      volumeId: newGuid(),
      volumeType: 'OS',
      protectors: [{ keyId: newGuid(), recoveryPassword: randomRecoveryPassword() }],
    },
  ]);
}

describe('with site tokens', () => {
  let site: LiveSite;
  let gateway: StolenGateway;
  beforeAll(async () => {
    site = await LiveSite.start();
  });
  afterAll(() => site.stop());
  beforeEach(async () => {
    // It lies about nothing here; it counts.
    gateway = await StolenGateway.start((await openKeyFolder(site.keysDir, 'operator')).tls(), site.url);
  });
  afterEach(() => gateway.stop());

  const enrol = (more: Partial<EnrolOptions> = {}): Promise<MpeClient> =>
    MpeClient.enrol({
      backoff: { baseMs: 100, capMs: 400 },
      // Long: a busy machine must not make a request late, which would be sent again and counted.
      waitSeconds: 20,
      timeoutMs: 30_000,
      url: gateway.url,
      enrolmentToken: site.enrolmentToken,
      state: new MemoryStateStore(),
      ...more,
    });
  const counts = (): { tokens: number; posts: number; registrations: number } => ({
    tokens: gateway.seen.filter(({ method, path }) => method === 'POST' && path === '/v1/token').length,
    posts: gateway.seen.filter(({ path }) => path.startsWith('/v1/messages')).length,
    registrations: gateway.seen.filter(({ path }) => path === '/v1/clients').length,
  });

  test.each([
    ['ten years ahead', YEARS_MS],
    ['ten years behind', -YEARS_MS],
  ])('a clock %s costs nothing: one token, one message', async (_name, offset) => {
    const client = await enrol({ now: () => Date.now() + offset });
    const { registrations } = counts();
    await escrowOne(client);
    const { settled } = await client.drain({ timeoutMs: 90_000 });
    expect(settled.map(({ disposition }) => disposition)).toEqual(['COMMITTED']);
    expect(counts()).toMatchObject({ tokens: 1, registrations });
    await client.close();
  });

  test.each([
    ['', 0],
    [', with the client’s clock ten years ahead', YEARS_MS],
    [', with the client’s clock ten years behind', -YEARS_MS],
  ])('an expired token is replaced by one new one, and the message goes%s', async (_name, offset) => {
    const client = await enrol({ now: () => Date.now() + offset });
    await client.token();
    const before = counts();
    // The gateway's day goes on; the client's machine slept, and its monotonic clock stood.
    await site.restartGateway(9 * HOURS_MS);
    try {
      await escrowOne(client);
      const { settled } = await client.drain({ timeoutMs: 90_000 });
      expect(settled).toHaveLength(1);
      const after = counts();
      expect(after.tokens - before.tokens).toBe(1);
      expect(after.posts - before.posts).toBeLessThanOrEqual(3);
      expect(after.registrations).toBe(before.registrations);
    } finally {
      await site.restartGateway();
      await client.close();
    }
  });

  test('a blocked client backs off, keeps its message, and sends it once it is unblocked', async () => {
    const client = await enrol();
    await site.store.setClientState(client.clientId, 'BLOCKED', 'test');
    const before = counts();
    await escrowOne(client);
    expect((await client.drain({ timeoutMs: 3000 })).pending).toBe(1);
    const after = counts();
    expect(after.registrations).toBe(before.registrations);
    // Without a token no message leaves, and tokens are asked for at the pace of the back-off.
    expect(after.posts).toBe(before.posts);
    expect(after.tokens - before.tokens).toBeGreaterThanOrEqual(1);
    expect(after.tokens - before.tokens).toBeLessThan(40);
    await site.store.setClientState(client.clientId, 'ACTIVE', 'test');
    expect((await client.drain({ timeoutMs: 90_000 })).settled).toHaveLength(1);
    await client.close();
  });

  test('a client that the site does not know backs off, with everything it has', async () => {
    // The site's database is put back to before the client came.
    if (site.config.store.kind !== 'sqlite') throw new Error('a file is copied here');
    const { path } = site.config.store;
    const before = `${path}.before`;
    const database = new Database(path);
    database.prepare('VACUUM INTO ?').run(before);
    database.close();
    const client = await enrol();
    const restored = await openStore({ kind: 'sqlite', path: before });
    await site.restartGateway(0, restored);
    try {
      const start = counts();
      await escrowOne(client);
      expect((await client.drain({ timeoutMs: 3000 })).pending).toBe(1);
      const after = counts();
      expect(after.registrations).toBe(start.registrations);
      expect(after.posts).toBe(start.posts);
      expect(after.tokens - start.tokens).toBeGreaterThanOrEqual(1);
      expect(after.tokens - start.tokens).toBeLessThan(40);
    } finally {
      await site.restartGateway();
      await restored.close();
    }
    expect((await client.drain({ timeoutMs: 90_000 })).settled).toHaveLength(1);
    await client.close();
  });
});

describe('with certificates and device tokens', () => {
  let site: LiveSite;
  let ca: TestCa;
  let issuer: DeviceIssuer;
  const [byCertificate, byToken, byNobody] = [newGuid(), newGuid(), newGuid()];
  beforeAll(async () => {
    const folder = tempFolder('mpe-client-channels-');
    mkdirSync(folder, { recursive: true });
    ca = await TestCa.create('CN=Client Root');
    writeFileSync(join(folder, 'ca.pem'), ca.pem);
    const tenant = newGuid();
    issuer = await DeviceIssuer.start(ca, tenant, [byToken]);
    site = await LiveSite.start({
      MPE_GATEWAY_AUTH: 'client-certificate,entra',
      MPE_GATEWAY_CLIENT_CA: join(folder, 'ca.pem'),
      MPE_GATEWAY_ENTRA_TENANT: tenant,
      MPE_GATEWAY_ENTRA_AUDIENCE: issuer.audience,
      MPE_GATEWAY_ENTRA_ISSUER: issuer.url,
      MPE_GATEWAY_ENTRA_KEYS_URL: issuer.keysUrl,
      MPE_GATEWAY_ENTRA_CA: join(folder, 'ca.pem'),
    });
  });
  afterAll(async () => {
    await site.stop();
    await issuer.stop();
  });
  const enrol = (more: Partial<EnrolOptions>): Promise<MpeClient> =>
    MpeClient.enrol({
      backoff: { baseMs: 100, capMs: 400 },
      // Long: a busy machine must not make a request late, which would be sent again and counted.
      waitSeconds: 20,
      timeoutMs: 30_000,
      url: site.url,
      enrolmentToken: site.enrolmentToken,
      state: new MemoryStateStore(),
      ...more,
    });

  test('a certificate registers the client that it names and carries its messages', async () => {
    const { pem, keyPem } = await ca.issue({ cn: byCertificate });
    const client = await enrol({ clientId: byCertificate, certificate: { cert: pem, key: keyPem } });
    expect(client.clientId).toBe(byCertificate);
    await escrowOne(client);
    expect((await client.drain({ timeoutMs: 90_000 })).settled[0]?.disposition).toBe('COMMITTED');
    await client.close();
  });

  test('a device token does, and is read again once where it is refused', async () => {
    const texts = [
      issuer.forge(byToken),
      issuer.forge(byToken, { exp: 1 }),
      await issuer.token(byToken, ca.pem),
    ];
    let read = 0;
    const deviceToken = (): string => texts[Math.min(read++, texts.length - 1)]!;
    const client = await enrol({ clientId: byToken, deviceToken });
    await escrowOne(client);
    expect((await client.drain({ timeoutMs: 90_000 })).settled[0]?.disposition).toBe('COMMITTED');
    expect(read).toBe(3);
    await client.close();
  });

  test('a certificate that has ended is refused at the registration, and nothing is stored', async () => {
    const { pem, keyPem } = await ca.issue({ cn: byNobody, notAfter: new Date(Date.now() - 60_000) });
    const enrolling = enrol({
      clientId: byNobody,
      certificate: { cert: pem, key: keyPem },
      registrationTimeoutMs: 1500,
    });
    await expect(enrolling).rejects.toThrow(/CERTIFICATE_REFUSED/);
    expect(await site.store.findClient(byNobody)).toBeNull();
  });
});
