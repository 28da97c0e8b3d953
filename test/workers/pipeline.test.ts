import { beforeAll, describe, expect, test } from 'vitest';
import { generatePrivateKey, publicPart, wrapSecret } from '../../src/jose/index.js';
import { MpeError } from '../../src/ops/errors.js';
import { mpe } from '../../src/protocol/generated/mpe.js';
import { guidToBytes, newGuid } from '../../src/protocol/guid.js';
import type { Body } from '../../src/protocol/client-message.js';
import { REASON_TABLE, type Reason } from '../../src/protocol/vocabulary.js';
import type { Pipeline } from '../../src/workers/pipeline.js';
import type { Processed } from '../../src/workers/types.js';
import {
  escrow,
  password,
  statementOf,
  TestClient,
  TestSite,
  volume,
  type Sent,
  type Tamper,
} from './support.js';
import { faulty, siteWithPolicy, traceOf } from './pipeline-support.js';

let site: TestSite;
let pipeline: Pipeline;
let client: TestClient;
beforeAll(async () => {
  site = await TestSite.create();
  pipeline = await site.pipeline({ reloadEveryMs: 0 });
  client = await site.client();
});

const run = { alone: true };
const process = (sent: Sent, by = pipeline): Promise<Processed> => by.processMessage(sent.job, run);
const someKey = (): Body => escrow(volume([{ password: password(7) }]));

const secondBody = (payload: Buffer): Buffer => Buffer.concat([payload, Buffer.from([0x9a, 0x01, 0x00])]);
const unknownBody = (payload: Buffer): Uint8Array => {
  const raw: Record<string, unknown> = mpe.v1.ClientMessage.toObject(mpe.v1.ClientMessage.decode(payload));
  delete raw['escrowRecoveryKeys'];
  raw['bodyType'] = 99;
  const bytes = mpe.v1.ClientMessage.encode(raw).finish();
  return Buffer.concat([bytes, Buffer.from([0x9a, 0x06, 0x00])]);
};

describe('a message with a recovery key', () => {
  test('is committed, answered under its reply key, and the same message again writes nothing', async () => {
    const keyId = newGuid();
    const sent = await client.message(escrow(volume([{ keyId, password: password(1) }])));
    const first = await process(sent);
    expect(first).toMatchObject({ verdict: 'done', written: true, keysWritten: 1 });
    expect(first.reply).toMatchObject({ disposition: 'COMMITTED', reason: 'NONE', retry: 'NONE' });
    const statement = await statementOf(sent, first.reply);
    expect(statement).toMatchObject({
      disposition: 'COMMITTED',
      epoch: 1,
      siteDocumentVersion: 1,
      registerAnew: false,
      highestSequence: client.sequence,
    });
    expect(statement.volumes[0]?.keys[0]).toMatchObject({ status: 'COMMITTED', reason: 'NONE' });
    expect(statement.committedAtMs).toBeGreaterThan(0);

    const highest = client.sequence + 5n;
    await process(await client.message(escrow(volume([])), { sequence: highest }));
    const again = await client.seal(sent.job.messageId, sent.payload, sent.replyKey, 1);
    const second = await process(again);
    expect(second).toMatchObject({ written: false, keysWritten: 0 });
    expect(await statementOf(sent, second.reply)).toMatchObject({
      disposition: 'ALREADY_COMMITTED',
      committedAtMs: statement.committedAtMs,
      // What a client that lost its state goes on above: of all its messages, not of this one.
      highestSequence: highest,
      volumes: statement.volumes,
    });
    expect(await site.store.findKeys(keyId.slice(0, 8), 10)).toHaveLength(1);
  });

  test('is asked for again when what was stored of it became unreadable', async () => {
    const keyId = newGuid();
    const body = escrow(volume([{ keyId, password: password(2) }]));
    const sent = await client.message(body);
    await process(sent);
    for await (const secret of site.store.streamSecrets()) {
      if (secret.identity.keyId === keyId)
        await site.store.markDamaged(secret.identity.secretId, secret.generation, 'test', Date.now());
    }
    const again = await statementOf(sent, (await process(sent)).reply);
    expect(again).toMatchObject({ disposition: 'ALREADY_COMMITTED' });
    expect(again.volumes[0]?.keys[0]?.status).toBe('SECRET_REQUIRED');
    expect(again.commands).toContainEqual(expect.objectContaining({ type: 'ESCROW', keyIds: [keyId] }));

    const anew = await client.message(body);
    const result = await process(anew);
    expect(result).toMatchObject({ keysWritten: 1 });
    expect((await statementOf(anew, result.reply)).volumes[0]?.keys[0]?.status).toBe('COMMITTED');
  });

  test('by a key of an earlier epoch is kept at its own rank and replaces nothing newer', async () => {
    const old = await site.client();
    const renewed = new TestClient(site, old.clientId, await generatePrivateKey('ES256'));
    const volumeId = newGuid();
    const late = await old.message(
      escrow(volume([{ keyId: newGuid(), password: password(3) }], { volumeId })),
    );
    const job = await renewed.registration({ tokenHash: null, previous: old.key });
    expect(await pipeline.processRegistration(job)).toMatchObject({ status: 'REGISTERED', epoch: 2 });
    const newKey = newGuid();
    const newer = await renewed.message(
      escrow(volume([{ keyId: newKey, password: password(4) }], { volumeId })),
    );
    expect((await statementOf(newer, (await process(newer)).reply)).epoch).toBe(2);
    expect(await statementOf(late, (await process(late)).reply)).toMatchObject({
      disposition: 'COMMITTED',
      epoch: 1,
    });
    const found = await site.store.findKeys(newKey.slice(0, 8), 10);
    expect(found[0]?.holders[0]).toMatchObject({ clientId: old.clientId, current: true });
  });
});

describe('every reason of the table', () => {
  /** How each reason comes about. */
  const cases: Record<
    Exclude<Reason, 'NONE'>,
    () => Promise<{ sent: Sent; result: Processed; of?: TestSite }>
  > = {
    ITEMS_REJECTED: async () => {
      const sent = await client.message(
        escrow(volume([{ password: password(10) }, { password: '123456-'.repeat(8).slice(0, -1) }])),
      );
      return { sent, result: await process(sent) };
    },
    ALL_ITEMS_REJECTED: async () => {
      const sent = await client.message(escrow(volume([{ password: '' }])));
      return { sent, result: await process(sent) };
    },
    CANNOT_OPEN: async () => {
      const sent = await client.message(someKey(), { siteGuid: newGuid() });
      return { sent, result: await process(sent) };
    },
    MALFORMED: async () => {
      const sent = await client.message(someKey(), { payload: secondBody });
      return { sent, result: await process(sent) };
    },
    MESSAGE_ID_REUSED: async () => {
      const first = await client.message(someKey());
      await process(first);
      const sent = await client.message(someKey(), { messageId: first.job.messageId });
      const before = await site.store.findOutcome(client.clientId, first.job.messageId);
      const result = await process(sent);
      expect(await site.store.findOutcome(client.clientId, first.job.messageId)).toEqual(before);
      return { sent, result };
    },
    DEAD_LETTERED: async () => {
      const sent = await client.message(someKey());
      const broken = await site.pipeline({
        store: faulty(site.store, {
          apply: () => Promise.reject(new MpeError('STORE_FAILED', 'no such table')),
        }),
      });
      return { sent, result: await process(sent, broken) };
    },
    CLIENT_BLOCKED: async () => {
      const blocked = await site.client();
      await site.store.setClientState(blocked.clientId, 'BLOCKED', 'test');
      const sent = await blocked.message(someKey());
      return { sent, result: await process(sent) };
    },
    ROTATION_REQUEST_UNKNOWN: async () => {
      const sent = await client.message({
        type: 'ROTATION_RESULT',
        requestId: guidToBytes(newGuid()),
        outcome: 'ADDED',
      });
      return { sent, result: await process(sent) };
    },
    POLICY_REFUSED: async () => {
      const of = await siteWithPolicy({ mode: 'OBSERVE' });
      const sent = await (await of.client()).message(someKey());
      return { sent, of, result: await process(sent, await of.pipeline()) };
    },
    QUARANTINE_FULL: async () => {
      const sent = await (await TestClient.unregistered(site)).message(someKey());
      return { sent, result: await process(sent, await site.pipeline({ quarantineMax: 0 })) };
    },
    SEALING_KEY_UNKNOWN: async () => {
      const recipient = publicPart(await generatePrivateKey('ECDH-ES+A256KW'));
      const sent = await client.message(someKey(), { recipient });
      return { sent, result: await process(sent) };
    },
    CLIENT_UNKNOWN: async () => {
      const sent = await (await TestClient.unregistered(site)).message(someKey());
      return { sent, result: await process(sent) };
    },
    SIGNING_KEY_UNKNOWN: async () => {
      const sent = await client.message(someKey(), { signer: await generatePrivateKey('ES256') });
      return { sent, result: await process(sent) };
    },
    BODY_TYPE_UNKNOWN: async () => {
      const sent = await client.message(someKey(), { payload: unknownBody, job: { bodyType: 99 } });
      return { sent, result: await process(sent) };
    },
  };

  test.each(Object.keys(cases) as Exclude<Reason, 'NONE'>[])(
    '%s is answered and kept as it says',
    async (reason) => {
      const rule = REASON_TABLE[reason];
      const { sent, result, of } = await cases[reason]();
      expect(result.verdict).toBe('done');
      expect(result.reply).toMatchObject({ disposition: rule.disposition, reason, retry: rule.retry });
      expect(result.reply.sealedReply !== '').toBe(rule.sealed);
      if (rule.sealed) {
        const statement = await statementOf(sent, result.reply);
        expect(statement).toMatchObject({ disposition: rule.disposition, reason, retry: rule.retry });
      }
      const reused = reason === 'MESSAGE_ID_REUSED' ? 1 : 0;
      expect(await traceOf(sent, of ?? site)).toEqual({
        outcomes: (rule.stored === 'outcome' ? 1 : 0) + reused,
        quarantined: rule.stored === 'quarantine' ? 1 : 0,
        dead: rule.stored === 'dead letter' ? 1 : 0,
      });
      if (rule.disposition !== 'PARTIAL' && reused === 0)
        expect(await (of ?? site).store.findKeys('00000000', 1)).toEqual([]);
    },
  );
});

describe('what cannot be opened', () => {
  const stranger = (): Promise<TestClient> => site.client();
  const cases: Record<string, () => Promise<Tamper>> = {
    'a changed sealed token': () =>
      Promise.resolve({ sealed: (s) => s.slice(0, -2) + (s.endsWith('AA') ? 'BB' : 'AA') }),
    'six parts': () => Promise.resolve({ sealed: (s) => `${s}.x` }),
    "another client's signature": async () => ({ signer: (await stranger()).key }),
    'a changed signature': () =>
      Promise.resolve({ jws: (j) => j.slice(0, -4) + (j.endsWith('AAAA') ? 'BBBB' : 'AAAA') }),
    'no JWS inside': () => Promise.resolve({ jws: () => 'nothing' }),
    'signed for another message id': () => Promise.resolve({ signedMessageId: newGuid() }),
    'signed for another client': () => Promise.resolve({ signedClientId: newGuid() }),
    'an envelope with another body type': () => Promise.resolve({ job: { bodyType: 4 } }),
    'a channel of another client': () =>
      Promise.resolve({ job: { channel: { method: 'site-token', clientId: newGuid(), epoch: 1 } } }),
    'malformed and signed for another site': () =>
      Promise.resolve({ siteGuid: newGuid(), payload: secondBody }),
  };

  test.each(Object.keys(cases))(
    '%s: all look alike outside, nothing is stored, the log is precise',
    async (name) => {
      const sent = await client.message(someKey(), await cases[name]!());
      const before = await site.store.counts();
      const result = await process(sent);
      expect(result.reply).toEqual({
        messageId: sent.job.messageId,
        disposition: 'REJECTED',
        reason: 'CANNOT_OPEN',
        retry: 'NEW_MESSAGE',
        retryAfterSeconds: 0,
        sealedReply: '',
      });
      expect(await traceOf(sent, site)).toEqual({ outcomes: 0, quarantined: 0, dead: 0 });
      expect(await site.store.counts()).toMatchObject({ keys: before.keys, outcomes: before.outcomes });
      const line = site.lines.find(
        (l) => l['messageId'] === sent.job.messageId && l['event'] === 'message.rejected',
      );
      expect(line?.['cause']).toMatch(/^(open|verify|decode): ./);
    },
  );

  test("a stranger's key for an unregistered client is another client's signature, not an unknown client", async () => {
    const unknown = await TestClient.unregistered(site);
    const sent = await unknown.message(someKey(), { signer: client.key });
    expect((await process(sent)).reply.reason).toBe('CANNOT_OPEN');
  });
});

describe('a message that is not final', () => {
  test('moves up when its sealing key becomes known, and leaves quarantine', async () => {
    const key = await generatePrivateKey('ECDH-ES+A256KW');
    const sent = await client.message(someKey(), { recipient: publicPart(key) });
    expect((await process(sent)).reply.reason).toBe('SEALING_KEY_UNKNOWN');
    await site.store.addSealingKey({
      kid: key.kid,
      alg: 'ECDH-ES+A256KW',
      publicJwk: JSON.stringify(publicPart(key)),
      wrappedPrivate: await wrapSecret(Buffer.from(JSON.stringify(key)), site.keyFolder.workerSecret()),
      state: 'ACTIVE',
      createdAtMs: Date.now(),
    });
    expect((await process(sent)).reply.disposition).toBe('COMMITTED');
    expect(await traceOf(sent, site)).toEqual({ outcomes: 1, quarantined: 0, dead: 0 });
  });

  test('is quarantined, not given up, where its kid is unknown and the site does not read well', async () => {
    let reads = 0;
    let drifted = false;
    const store = faulty(site.store, {
      readSiteDocument: () =>
        drifted ? Promise.resolve({ version: 9, jws: 'no.site.document' }) : site.store.readSiteDocument(),
      readSealingKeys: () => {
        reads += 1;
        return site.store.readSealingKeys();
      },
    });
    const behind = await site.pipeline({ store, reloadEveryMs: 0 });
    drifted = true;
    reads = 0;
    const recipient = publicPart(await generatePrivateKey('ECDH-ES+A256KW'));
    const unknown = await client.message(someKey(), { recipient });
    expect((await process(unknown, behind)).reply.reason).toBe('SEALING_KEY_UNKNOWN');
    expect(await traceOf(unknown, site)).toEqual({ outcomes: 0, quarantined: 1, dead: 0 });
    expect(reads).toBe(1);
    // What the worker knew before, it still works with.
    expect((await process(await client.message(someKey()), behind)).reply.disposition).toBe('COMMITTED');
    expect(site.lines.some((line) => line['event'] === 'worker.site_unreadable')).toBe(true);
  });

  test.each([
    '{"kty":"EC"}',
    'no key',
    'null',
    '{"kty":"EC","crv":"P-256","alg":"ES256","x":"AA","y":"AA","kid":"%"}',
  ])('is quarantined, not given up, where the stored key of its client is damaged: %s', async (damaged) => {
    const hurt = await TestClient.unregistered(site);
    await site.store.commitRegistration({
      clientId: hurt.clientId,
      registrationId: newGuid(),
      kid: hurt.key.kid,
      publicJwk: damaged.replace('%', hurt.key.kid),
      enrolmentTokenHash: Buffer.from(site.tokenHash, 'hex'),
      provenByKid: null,
      machineName: 'PC-1',
      domain: 'CORP',
      hardwareId: '',
      joinType: 'DOMAIN',
      atMs: Date.now(),
    });
    const sent = await hurt.message(someKey());
    expect((await process(sent)).reply.reason).toBe('SIGNING_KEY_UNKNOWN');
    expect(await traceOf(sent, site)).toEqual({ outcomes: 0, quarantined: 1, dead: 0 });
  });

  test('asks the database for an unknown kid at most every few seconds', async () => {
    let reads = 0;
    const store = faulty(site.store, {
      readSealingKeys: () => {
        reads += 1;
        return site.store.readSealingKeys();
      },
    });
    const slow = await site.pipeline({ store, reloadEveryMs: 60_000 });
    const recipient = publicPart(await generatePrivateKey('ECDH-ES+A256KW'));
    for (let i = 0; i < 5; i += 1) await process(await client.message(someKey(), { recipient }), slow);
    expect(reads).toBe(1);
  });

  test('moves up when a blocked client is taken back, and a committed one stays committed when blocked', async () => {
    const blocked = await site.client();
    const committed = await blocked.message(someKey());
    const first = await statementOf(committed, (await process(committed)).reply);
    await site.store.setClientState(blocked.clientId, 'BLOCKED', 'test');
    const refused = await blocked.message(someKey());
    expect((await process(refused)).reply.reason).toBe('CLIENT_BLOCKED');
    expect(await statementOf(committed, (await process(committed)).reply)).toMatchObject({
      disposition: 'ALREADY_COMMITTED',
      volumes: first.volumes,
    });
    await site.store.setClientState(blocked.clientId, 'ACTIVE', 'test');
    expect((await process(refused)).reply.disposition).toBe('COMMITTED');
    expect(await traceOf(refused, site)).toMatchObject({ outcomes: 1 });
  });

  test('keeps saying PARTIAL with the same items, and writes nothing, when it comes again', async () => {
    const sent = await client.message(escrow(volume([{ password: password(20) }, { password: '1' }])));
    const first = await statementOf(sent, (await process(sent)).reply);
    const result = await process(sent);
    expect(result.written).toBe(false);
    expect((await statementOf(sent, result.reply)).volumes).toEqual(first.volumes);
    expect(first.volumes[0]?.keys.map((key) => [key.status, key.reason])).toEqual([
      ['COMMITTED', 'NONE'],
      ['REJECTED', 'RECOVERY_PASSWORD_INVALID'],
    ]);
  });
});

describe('faults', () => {
  test('a transient fault of the database puts the message off, however often, and spends nothing', async () => {
    const sent = await client.message(someKey());
    const away = await site.pipeline({
      store: faulty(site.store, {
        findClient: () => Promise.reject(new MpeError('STORE_TRANSIENT', 'away')),
      }),
    });
    for (let i = 0; i < 5; i += 1) {
      const result = await process(sent, away);
      expect(result).toMatchObject({ verdict: 'delay', reply: { disposition: 'QUEUED' } });
      expect(result.delayMs).toBeGreaterThan(0);
    }
    expect(await traceOf(sent, site)).toEqual({ outcomes: 0, quarantined: 0, dead: 0 });
    expect((await process(sent)).reply.disposition).toBe('COMMITTED');
  });

  test('a database that fails for everybody is no fault of the message: it is put off, not given up', async () => {
    const failing = (): Promise<never> => Promise.reject(new MpeError('STORE_FAILED', 'disk on fire'));
    const broken = await site.pipeline({
      store: faulty(site.store, { apply: failing, probeWrite: failing }),
    });
    const sent = await client.message(someKey());
    expect(await process(sent, broken)).toMatchObject({ verdict: 'delay' });
    expect(await traceOf(sent, site)).toMatchObject({ dead: 0 });
  });

  test('a dead letter only counts, until it is redriven: then it runs alone and leaves', async () => {
    const sent = await client.message(someKey());
    const broken = await site.pipeline({
      store: faulty(site.store, {
        apply: () => Promise.reject(new MpeError('STORE_FAILED', 'no such table')),
      }),
    });
    await process(sent, broken);
    expect((await process(sent)).reply.reason).toBe('DEAD_LETTERED');
    const dead = await site.store.findDeadLetter(client.clientId, sent.job.messageId);
    expect(dead).toMatchObject({ cause: 'STORE_FAILED', resends: 1, sealed: sent.job.sealed });

    await site.store.redriveDeadLetter(client.clientId, sent.job.messageId, Date.now());
    expect((await pipeline.processMessage(sent.job, { alone: false })).verdict).toBe('alone');
    expect((await process(sent)).reply.disposition).toBe('COMMITTED');
    expect(await traceOf(sent, site)).toEqual({ outcomes: 1, quarantined: 0, dead: 0 });
  });

  test('a job that was taken over writes nothing', async () => {
    const sent = await client.message(someKey());
    const result = await pipeline.processMessage(sent.job, { alone: true, signal: AbortSignal.abort() });
    expect(result.verdict).toBe('delay');
    expect(await traceOf(sent, site)).toEqual({ outcomes: 0, quarantined: 0, dead: 0 });
  });
});
