import { beforeAll, describe, expect, test } from 'vitest';
import { guidToBytes, newGuid, type Guid } from '../../src/protocol/guid.js';
import type { Body } from '../../src/protocol/client-message.js';
import type { Pipeline } from '../../src/workers/pipeline.js';
import type { Processed } from '../../src/workers/types.js';
import { faulty, siteWithPolicy, traceOf } from './pipeline-support.js';
import {
  checkIn,
  escrow,
  password,
  statementOf,
  TestSite,
  volume,
  type Sent,
  type TestClient,
} from './support.js';

// What a client is told beside the answer to its message, and what it says of itself.

let site: TestSite;
let pipeline: Pipeline;
let client: TestClient;
beforeAll(async () => {
  site = await TestSite.create();
  pipeline = await site.pipeline({ reloadEveryMs: 0 });
  client = await site.client();
});

const process = (sent: Sent, by = pipeline): Promise<Processed> =>
  by.processMessage(sent.job, { alone: true });
const someKey = (): Body => escrow(volume([{ password: password(7) }]));

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
    expect(await traceOf(newer, site)).toEqual({ outcomes: 0, quarantined: 0, dead: 0 });
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
