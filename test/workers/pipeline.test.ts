import { beforeAll, describe, expect, test } from 'vitest';
import { generatePrivateKey, publicPart, wrapSecret } from '../../src/jose/index.js';
import { MpeError } from '../../src/ops/errors.js';
import { mpe } from '../../src/protocol/generated/mpe.js';
import { guidToBytes, newGuid, type Guid } from '../../src/protocol/guid.js';
import type { Body } from '../../src/protocol/client-message.js';
import { REASON_TABLE, type Reason } from '../../src/protocol/vocabulary.js';
import type { PolicyRow, SiteStore } from '../../src/store/site-store.js';
import type { Pipeline } from '../../src/workers/pipeline.js';
import type { Processed } from '../../src/workers/types.js';
import {
  checkIn,
  escrow,
  password,
  statementOf,
  TestClient,
  TestSite,
  volume,
  type Sent,
  type Tamper,
} from './support.js';

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

/** Everything the database has on a message. */
async function traceOf(
  sent: Sent,
  of = site,
): Promise<{ outcomes: number; quarantined: number; dead: number }> {
  const trace = await of.store.traceMessage(sent.job.messageId);
  return {
    outcomes: trace.outcomes.length,
    quarantined: trace.quarantined.length,
    dead: trace.deadLetters.length,
  };
}

/** A store with some of its operations replaced. */
function faulty(store: SiteStore, replaced: Partial<SiteStore>): SiteStore {
  return new Proxy(store, {
    get(target, name, receiver) {
      const value: unknown =
        name in replaced ? Reflect.get(replaced, name) : Reflect.get(target, name, receiver);
      return typeof value === 'function'
        ? (value.bind(name in replaced ? replaced : target) as unknown)
        : value;
    },
  });
}

/** A site with other policies than the default one. */
function siteWithPolicy(change: Partial<PolicyRow>): Promise<TestSite> {
  return TestSite.create({ seed: (seed) => ({ ...seed, policy: { ...seed.policy, ...change } }) });
}

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
      expect(await traceOf(sent, of)).toEqual({
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
      expect(await traceOf(sent)).toEqual({ outcomes: 0, quarantined: 0, dead: 0 });
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
    expect(await traceOf(sent)).toEqual({ outcomes: 1, quarantined: 0, dead: 0 });
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
    expect(await traceOf(unknown)).toEqual({ outcomes: 0, quarantined: 1, dead: 0 });
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
    expect(await traceOf(sent)).toEqual({ outcomes: 0, quarantined: 1, dead: 0 });
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
    expect(await traceOf(refused)).toMatchObject({ outcomes: 1 });
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
    expect(await traceOf(sent)).toEqual({ outcomes: 0, quarantined: 0, dead: 0 });
    expect((await process(sent)).reply.disposition).toBe('COMMITTED');
  });

  test('a database that fails for everybody is no fault of the message: it is put off, not given up', async () => {
    const failing = (): Promise<never> => Promise.reject(new MpeError('STORE_FAILED', 'disk on fire'));
    const broken = await site.pipeline({
      store: faulty(site.store, { apply: failing, probeWrite: failing }),
    });
    const sent = await client.message(someKey());
    expect(await process(sent, broken)).toMatchObject({ verdict: 'delay' });
    expect(await traceOf(sent)).toMatchObject({ dead: 0 });
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
    expect(await traceOf(sent)).toEqual({ outcomes: 1, quarantined: 0, dead: 0 });
  });

  test('a job that was taken over writes nothing', async () => {
    const sent = await client.message(someKey());
    const result = await pipeline.processMessage(sent.job, { alone: true, signal: AbortSignal.abort() });
    expect(result.verdict).toBe('delay');
    expect(await traceOf(sent)).toEqual({ outcomes: 0, quarantined: 0, dead: 0 });
  });
});

describe('commands', () => {
  test('fit into a reply, whatever the client ever reported', async () => {
    const { store } = site;
    const volumeId = newGuid();
    const keyIds = Array.from({ length: 8 }, () => newGuid());
    const many = Array.from({ length: 8000 }, () => `${newGuid()}/${newGuid()}`);
    const rotations = Array.from({ length: 4000 }, (_, n) => ({
      requestId: newGuid(),
      volumeId: newGuid(),
      keyId: newGuid(),
      deadlineMs: n,
      ...{ origin: 'DISCLOSURE' as const, notBeforeMs: 0, round: 1, delivered: true },
    }));
    const crowded = faulty(store, {
      classify: async (candidates) =>
        (await store.classify(candidates)).map((facts) => ({
          ...facts,
          unreadable: new Set(many),
          rotations,
        })),
    });
    const sent = await client.message(checkIn([{ volumeId, keyIds }]));
    const { reply } = await process(sent, await site.pipeline({ store: crowded }));
    const { commands, disposition } = await statementOf(sent, reply);
    expect(disposition).toBe('COMMITTED');
    const rotate = commands.filter((command) => command.type === 'ROTATE_KEY');
    expect(rotate.map((command) => command.deadlineMs)).toEqual(Array.from({ length: 128 }, (_, n) => n));
    const asked = commands.flatMap((command) => (command.type === 'ESCROW' ? [...command.keyIds] : []));
    expect(asked).toHaveLength(8 + 128);
    expect(asked).toEqual(expect.arrayContaining(keyIds));
  });

  test('stay few and quick to find for a client that reported very many volumes', async () => {
    const station = await site.client();
    for (let n = 0; n < 40; n += 1) {
      const volumes = Array.from({ length: 16 }, () => ({ volumeId: newGuid(), keyIds: [newGuid()] }));
      await process(await station.message(checkIn(volumes)));
    }
    const sent = await station.message(checkIn());
    const { commands } = await statementOf(sent, (await process(sent)).reply);
    expect(commands).toHaveLength(128);
    const [facts] = await site.store.classify([
      {
        clientId: station.clientId,
        messageId: newGuid(),
        bodyType: 'CHECK_IN',
        rank: { epoch: 1, sequence: 99n, digest: new Uint8Array(32) },
        secrets: [],
        volumes: [],
        state: null,
        rotation: null,
        leavesOutcome: false,
      },
    ]);
    expect(facts?.unreadable.size).toBe(512);
  });
});

describe('clones', () => {
  test('one sequence with two message ids: both are kept, and each is told to register anew', async () => {
    const cloned = await site.client();
    const one = await cloned.message(someKey());
    const two = await cloned.message(someKey(), { sequence: 1n });
    expect((await statementOf(one, (await process(one)).reply)).registerAnew).toBe(false);
    expect(await statementOf(two, (await process(two)).reply)).toMatchObject({
      disposition: 'COMMITTED',
      registerAnew: true,
    });
    expect((await statementOf(one, (await process(one)).reply)).registerAnew).toBe(true);
    const flags = (await site.store.findClient(cloned.clientId))?.flags.map(({ flag }) => flag);
    expect(flags).toEqual(['CLONE']);
  });
});

describe('commands', () => {
  const commandsOf = async (sent: Sent, by = pipeline): Promise<unknown> =>
    (await statementOf(sent, (await process(sent, by)).reply)).commands;

  test('ESCROW asks for what the client has and the site cannot read, until it is there', async () => {
    const holder = await site.client();
    const volumeId = newGuid();
    const keyIds = [newGuid(), newGuid()].sort() as [Guid, Guid];
    expect(await commandsOf(await holder.message(checkIn([{ volumeId, keyIds }])))).toEqual([
      { type: 'ESCROW', volumeId, keyIds },
    ]);
    const first = await holder.message(
      escrow(volume([{ keyId: keyIds[0], password: password(30) }, { keyId: keyIds[1] }], { volumeId })),
    );
    expect(await commandsOf(first)).toEqual([{ type: 'ESCROW', volumeId, keyIds: [keyIds[1]] }]);
    const second = await holder.message(
      escrow(volume([{ keyId: keyIds[0] }, { keyId: keyIds[1], password: password(31) }], { volumeId })),
    );
    expect(await commandsOf(second)).toEqual([]);
    expect(await commandsOf(await holder.message(checkIn([{ volumeId, keyIds }])))).toEqual([]);
  });

  test("another client's proof does not spare a client its own", async () => {
    const [a, b] = [await site.client(), await site.client()];
    const volumeId = newGuid();
    const keyId = newGuid();
    await process(await a.message(escrow(volume([{ keyId, password: password(32) }], { volumeId }))));
    expect(await commandsOf(await b.message(checkIn([{ volumeId, keyIds: [keyId] }])))).toEqual([
      { type: 'ESCROW', volumeId, keyIds: [keyId] },
    ]);
  });

  test('ESCROW never asks for what a gate refuses', async () => {
    const of = await siteWithPolicy({ removableDrives: false });
    const holder = await of.client();
    const by = await of.pipeline();
    const removable = { volumeId: newGuid(), keyIds: [newGuid()], type: 'REMOVABLE' as const };
    const fixed = { volumeId: newGuid(), keyIds: [newGuid()], type: 'FIXED' as const };
    const sent = await holder.message(checkIn([removable, fixed]));
    const { commands, volumes } = await statementOf(sent, (await process(sent, by)).reply);
    expect(commands).toEqual([{ type: 'ESCROW', volumeId: fixed.volumeId, keyIds: fixed.keyIds }]);
    expect(volumes.map(({ keys }) => keys[0]?.reason)).toEqual(['POLICY_REFUSED', 'NONE']);
  });

  test('ROTATE_KEY reaches proven holders alone, and its result is taken', async () => {
    const [holder, other] = [await site.client(), await site.client()];
    const volumeId = newGuid();
    const keyId = newGuid();
    await process(await holder.message(escrow(volume([{ keyId, password: password(33) }], { volumeId }))));
    const request = { requestId: newGuid(), volumeId, keyId, deadlineMs: Date.now() + 3_600_000 };
    await site.store.openRotationRequest(request, Date.now());
    expect(await commandsOf(await holder.message(checkIn()))).toEqual([{ type: 'ROTATE_KEY', ...request }]);
    expect(await commandsOf(await other.message(checkIn([{ volumeId, keyIds: [keyId] }])))).toEqual([
      { type: 'ESCROW', volumeId, keyIds: [keyId] },
    ]);
    const result: Body = {
      type: 'ROTATION_RESULT',
      requestId: guidToBytes(request.requestId),
      outcome: 'FAILED',
      errorCode: -2147024809n,
    };
    expect((await process(await holder.message(result))).reply.disposition).toBe('COMMITTED');
    expect((await process(await other.message(result))).reply.reason).toBe('ROTATION_REQUEST_UNKNOWN');
  });
});

describe('check-ins', () => {
  test('leave no outcome; the same again and an older one have no effect and say so', async () => {
    const holder = await site.client();
    const older = await holder.message(checkIn([], { machineName: 'OLD' }));
    const newer = await holder.message(checkIn([], { machineName: '电脑-01 🍌' }));
    expect((await process(newer)).reply.disposition).toBe('COMMITTED');
    expect((await process(newer)).reply.disposition).toBe('ALREADY_COMMITTED');
    expect(await process(older)).toMatchObject({ written: false, reply: { disposition: 'COMMITTED' } });
    expect(await traceOf(newer)).toEqual({ outcomes: 0, quarantined: 0, dead: 0 });
  });

  test('are taken by a policy that only observes, and refused where there is none for the client', async () => {
    const observed = await siteWithPolicy({ mode: 'OBSERVE' });
    const watched = await observed.client();
    const volumes = [{ volumeId: newGuid(), keyIds: [newGuid()] }];
    const sent = await watched.message(checkIn(volumes));
    const { reply } = await process(sent, await observed.pipeline());
    expect(await statementOf(sent, reply)).toMatchObject({ disposition: 'COMMITTED', commands: [] });

    const other = await siteWithPolicy({ targetTag: 'other' });
    const outside = await (await other.client()).message(checkIn(volumes));
    expect((await process(outside, await other.pipeline())).reply.reason).toBe('POLICY_REFUSED');
  });
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
    const sent = await original.message(someKey());
    expect(await statementOf(sent, (await process(sent)).reply)).toMatchObject({
      disposition: 'COMMITTED',
      registerAnew: true,
    });
  });
});
