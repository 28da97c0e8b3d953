import { beforeAll, describe, expect, test } from 'vitest';
import { generatePrivateKey } from '../../src/jose/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import type { Pipeline } from '../../src/workers/pipeline.js';
import { escrow, password, statementOf, TestClient, TestSite, volume } from './support.js';

let site: TestSite;
let pipeline: Pipeline;
let client: TestClient;
beforeAll(async () => {
  site = await TestSite.create();
  pipeline = await site.pipeline({ reloadEveryMs: 0 });
  client = await site.client();
});

describe('registrations', () => {
  const registered = async (job: Parameters<Pipeline['processRegistration']>[0]): Promise<string> => {
    const { status, reason } = await pipeline.processRegistration(job);
    return reason === 'NONE' ? status : reason;
  };

  test('a new client with a good proof and token is registered once, and again without another use', async () => {
    const job = await (await TestClient.unregistered(site)).registration();
    expect(await registered(job)).toBe('REGISTERED');
    const left = (await site.store.readEnrolmentTokens())[0]?.usesLeft;
    expect(await registered(job)).toBe('ALREADY_REGISTERED');
    expect((await site.store.readEnrolmentTokens())[0]?.usesLeft).toBe(left);
  });

  test('what does not prove or bind its key is PROOF_INVALID', async () => {
    const fresh = await TestClient.unregistered(site);
    const good = await fresh.registration();
    const other = await (await TestClient.unregistered(site)).registration();
    expect(await registered({ ...good, jws: good.jws.slice(0, -4) + 'AAAA' })).toBe('PROOF_INVALID');
    expect(await registered({ ...good, jws: other.jws })).toBe('PROOF_INVALID');
    expect(await registered({ ...good, enrolmentTokenHash: null })).toBe('PROOF_INVALID');
    expect(await registered(await fresh.registration({ site: newGuid() }))).toBe('PROOF_INVALID');
    expect(await registered(await fresh.registration({ signedTokenHash: '00'.repeat(32) }))).toBe(
      'PROOF_INVALID',
    );
    expect(await registered({ ...good, jws: 'a.b.c' })).toBe('PROOF_INVALID');
    expect(await site.store.findClient(fresh.clientId)).toBeNull();
  });

  test('a token that the site does not know is refused', async () => {
    const job = await (await TestClient.unregistered(site)).registration({ tokenHash: '11'.repeat(32) });
    expect(await registered(job)).toBe('TOKEN_REFUSED');
  });

  test("a new key needs the current key's signature over the same bytes; the same request again is safe", async () => {
    const old = await site.client();
    const renewed = new TestClient(site, old.clientId, await generatePrivateKey('ES256'));
    expect(await registered(await renewed.registration())).toBe('CLIENT_EXISTS');
    const byStranger = await renewed.registration({ tokenHash: null, previous: client.key });
    expect(await registered(byStranger)).toBe('PROOF_INVALID');
    const good = await renewed.registration({ tokenHash: null, previous: old.key });
    const otherBytes = await renewed.registration({ tokenHash: null, previous: old.key });
    expect(await registered({ ...good, previousKeyJws: otherBytes.previousKeyJws })).toBe('PROOF_INVALID');
    expect(await registered(good)).toBe('REGISTERED');
    expect(await registered(good)).toBe('ALREADY_REGISTERED');
    const third = new TestClient(site, old.clientId, await generatePrivateKey('ES256'));
    const byOldest = await third.registration({ tokenHash: null, previous: old.key });
    expect(await registered(byOldest)).toBe('PROOF_INVALID');
  });

  test('one key for two clients is refused and flags both', async () => {
    const original = await site.client();
    const copy = new TestClient(site, newGuid(), original.key);
    expect(await registered(await copy.registration())).toBe('KEY_IN_USE');
    const flags = (await site.store.findClient(original.clientId))?.flags.map(({ flag }) => flag);
    expect(flags).toEqual(['CLONE']);
    const sent = await original.message(escrow(volume([{ password: password(7) }])));
    expect(
      await statementOf(sent, (await pipeline.processMessage(sent.job, { alone: true })).reply),
    ).toMatchObject({
      disposition: 'COMMITTED',
      registerAnew: true,
    });
  });
});
