import { beforeAll, describe, expect, test } from 'vitest';
import { generatePrivateKey, publicPart, wrapSecret } from '../../src/jose/index.js';
import type { PrivateJwk } from '../../src/protocol/jwk.js';
import { RELEASED } from '../../src/workers/release-quarantine.js';
import type { Pipeline } from '../../src/workers/pipeline.js';
import { checkIn, TestSite, type Sent, type TestClient } from './support.js';

let site: TestSite;
let client: TestClient;
let pipeline: Pipeline;

beforeAll(async () => {
  site = await TestSite.create();
  client = await site.client();
  pipeline = await site.pipeline({ reloadEveryMs: 0 });
});

const learn = async (key: PrivateJwk): Promise<void> =>
  site.store.addSealingKey({
    kid: key.kid,
    alg: 'ECDH-ES+A256KW',
    publicJwk: JSON.stringify(publicPart(key)),
    wrappedPrivate: await wrapSecret(Buffer.from(JSON.stringify(key)), site.keyFolder.workerSecret()),
    state: 'ACTIVE',
    createdAtMs: Date.now(),
  });

const kept = async ({ job }: Sent): Promise<boolean> =>
  (await site.store.findQuarantined(job.clientId, job.messageId)) !== null;

const run = async (sent: Sent, from: 'client' | 'quarantine'): Promise<string> => {
  const job = from === 'client' ? sent.job : { ...sent.job, gatewayId: RELEASED };
  const { reply } = await pipeline.processMessage(job, { alone: true });
  return `${reply.disposition} ${reply.reason}`;
};

describe('a message that comes from quarantine', () => {
  test('leaves it also where its decision writes nothing', async () => {
    const key = await generatePrivateKey('ECDH-ES+A256KW');
    const recipient = publicPart(key);
    const late = await client.message(checkIn(), { recipient });
    const forged = await client.message(checkIn(), {
      recipient,
      jws: (jws) => `${jws.slice(0, -8)}AAAAAAAA`,
    });
    for (const sent of [late, forged])
      expect(await run(sent, 'client')).toBe('QUARANTINED SEALING_KEY_UNKNOWN');
    // A later check-in makes the late one one without effect.
    expect(await run(await client.message(checkIn()), 'client')).toBe('COMMITTED NONE');
    await learn(key);

    expect(await run(late, 'quarantine')).toBe('COMMITTED NONE');
    expect(await kept(late)).toBe(false);
    expect(await run(forged, 'quarantine')).toBe('REJECTED CANNOT_OPEN');
    expect(await kept(forged)).toBe(false);
  });

  test('stays where it is still not known', async () => {
    const sent = await client.message(checkIn(), {
      recipient: publicPart(await generatePrivateKey('ECDH-ES+A256KW')),
    });
    expect(await run(sent, 'client')).toBe('QUARANTINED SEALING_KEY_UNKNOWN');
    expect(await run(sent, 'quarantine')).toBe('QUARANTINED SEALING_KEY_UNKNOWN');
    expect(await kept(sent)).toBe(true);
  });
});
