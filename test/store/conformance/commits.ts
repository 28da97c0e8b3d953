import { describe, expect, it } from 'vitest';
import { commitGroup, type GroupResult } from '../../../src/store/commit/commit-group.js';
import type { SiteStore } from '../../../src/store/site-store.js';
import type { MakeDatabase } from '../conformance.js';
import {
  candidate,
  hex,
  id,
  outcomeOf,
  register,
  sha256,
  siteSeed,
  T0,
  testPlanner,
  type MessageSpec,
  type PlanOptions,
  type TestReply,
} from '../world.js';

/** Commits messages in one group and gives back replies. */
export async function send(
  store: SiteStore,
  specs: readonly MessageSpec[],
  options: PlanOptions = {},
): Promise<(TestReply | 'transient' | 'failed')[]> {
  const results = await commitGroup(store, specs.map(candidate), testPlanner(options), {
    pause: () => Promise.resolve(),
  });
  return results.map((result: GroupResult<TestReply>) =>
    result.kind === 'done' ? result.reply : result.kind,
  );
}

/** A message with one key on one volume. */
export const escrow = (message: number, change: Partial<MessageSpec> = {}): MessageSpec => ({
  client: 1,
  message,
  sequence: message,
  volumes: [{ volume: 1, protectors: [{ key: message, password: `password ${message}` }] }],
  ...change,
});

/** Commit, replay, reuse, twins, non-final outcomes, poison. */
export function commits(make: MakeDatabase): void {
  const fresh = async (): Promise<SiteStore> => {
    const store = await (await make()).open();
    await store.createSite(siteSeed());
    await register(store, 1, 2);
    return store;
  };

  describe('commit', () => {
    it('commits a message once; again it is ALREADY_COMMITTED and writes nothing', async () => {
      const store = await fresh();
      expect(await send(store, [escrow(1)])).toEqual(['COMMITTED']);
      const before = await store.counts();
      expect(before).toMatchObject({ keys: 1, secrets: 1, outcomes: 1 });
      for (let i = 0; i < 3; i += 1) expect(await send(store, [escrow(1)])).toEqual(['ALREADY_COMMITTED']);
      expect(await store.counts()).toEqual(before);
      await store.close();
    });

    it('counts the generations that a message wrote', async () => {
      const store = await fresh();
      const spec = escrow(1, {
        volumes: [
          {
            volume: 1,
            protectors: [
              { key: 1, password: 'a', package: 'b' },
              { key: 2, password: 'c' },
            ],
          },
        ],
      });
      const [first] = await commitGroup(store, [candidate(spec)], testPlanner());
      expect(first).toMatchObject({ kind: 'done', written: true, keysWritten: 3 });
      const [second] = await commitGroup(
        store,
        [candidate({ ...spec, message: 2, sequence: 2 })],
        testPlanner(),
      );
      expect(second).toMatchObject({ kind: 'done', written: true, keysWritten: 0 });
      await store.close();
    });

    it('reads an outcome back exactly, with a sequence beyond 2^53', async () => {
      const store = await fresh();
      const spec = escrow(1, { sequence: 9_007_199_254_740_993n });
      await send(store, [spec]);
      const message = candidate(spec);
      expect(await store.findOutcome(message.clientId, message.messageId)).toEqual(
        outcomeOf(message, 'COMMITTED', T0),
      );
      const [facts] = await store.classify([message]);
      expect(facts?.highestSequence).toBe(9_007_199_254_740_993n);
      await send(store, [escrow(2, { sequence: 2n ** 63n - 1n })]);
      expect((await store.classify([message]))[0]?.highestSequence).toBe(2n ** 63n - 1n);
      await store.close();
    });

    it('refuses another payload under a used id and keeps the first', async () => {
      const store = await fresh();
      await send(store, [escrow(1)]);
      const other = escrow(1, {
        salt: 'other',
        volumes: [{ volume: 9, protectors: [{ key: 9, password: 'x' }] }],
      });
      expect(await send(store, [other])).toEqual(['MESSAGE_ID_REUSED']);
      expect(await store.counts()).toMatchObject({ keys: 1, outcomes: 1 });
      await store.close();
    });

    it('takes the same id of another client as an independent message', async () => {
      const store = await fresh();
      expect(await send(store, [escrow(1), escrow(1, { client: 2 })])).toEqual(['COMMITTED', 'COMMITTED']);
      expect((await store.traceMessage(id('message', 1))).outcomes).toHaveLength(2);
      await store.close();
    });

    it('lets the first of twins in a group count; equal ones mirror it, others are reused', async () => {
      const store = await fresh();
      expect(
        await send(store, [escrow(1), escrow(2), escrow(1), escrow(1, { salt: 'x' }), escrow(1)]),
      ).toEqual(['COMMITTED', 'COMMITTED', 'ALREADY_COMMITTED', 'MESSAGE_ID_REUSED', 'ALREADY_COMMITTED']);
      expect((await store.counts()).outcomes).toBe(2);
      await store.close();
    });

    it('answers raced to a plan that someone else overtook, and leaves nothing of it', async () => {
      const store = await fresh();
      const message = candidate(escrow(1));
      const [facts] = await store.classify([message]);
      const decision = await testPlanner()(message, facts!);
      if (decision.kind !== 'write') throw new Error('the planner did not write');
      await send(store, [escrow(1)]);
      const before = await store.counts();
      expect(await store.apply([decision.plan])).toEqual([{ kind: 'raced' }]);
      expect(await store.counts()).toEqual(before);
      await store.close();
    });

    it('moves a non-final outcome up, never down, and COMMITTED is final', async () => {
      const store = await fresh();
      const find = () => store.findOutcome(id('client', 1), id('message', 1));
      expect(await send(store, [escrow(1)], { disposition: 'REJECTED', atMs: T0 })).toEqual(['REJECTED']);
      expect(await store.counts()).toMatchObject({ keys: 0, outcomes: 1 });
      // The same again: still the first time at this disposition, one attempt more.
      await send(store, [escrow(1)], { disposition: 'REJECTED', atMs: T0 + 10 });
      expect(await find()).toMatchObject({ disposition: 'REJECTED', attempts: 2, decidedAtMs: T0 });
      await send(store, [escrow(1)], { disposition: 'PARTIAL', atMs: T0 + 20 });
      expect(await find()).toMatchObject({ disposition: 'PARTIAL', attempts: 3, decidedAtMs: T0 + 20 });
      // Down is refused as a race: the loop gives up as transient, the row stays.
      const message = candidate(escrow(1));
      const plan = {
        candidate: message,
        outcome: outcomeOf(message, 'REJECTED', T0 + 30),
        outcomeMode: 'move-up' as const,
        secrets: [],
        effects: false,
        atMs: T0 + 30,
      };
      expect(await store.apply([plan])).toEqual([{ kind: 'raced' }]);
      expect(await find()).toMatchObject({ disposition: 'PARTIAL', attempts: 3 });
      expect(await send(store, [escrow(1)], { atMs: T0 + 40 })).toEqual(['COMMITTED']);
      expect(await store.apply([{ ...plan, outcome: outcomeOf(message, 'COMMITTED', T0 + 50) }])).toEqual([
        { kind: 'raced' },
      ]);
      expect(await find()).toMatchObject({ disposition: 'COMMITTED', attempts: 4, decidedAtMs: T0 + 40 });
      await store.close();
    });

    it('writes effects with PARTIAL and none with REJECTED', async () => {
      const store = await fresh();
      await send(store, [escrow(1)], { disposition: 'PARTIAL' });
      await send(store, [escrow(2)], { disposition: 'REJECTED' });
      expect(await store.counts()).toMatchObject({ keys: 1, outcomes: 2 });
      await store.close();
    });

    it('fails a poison message alone: its neighbours are committed, nothing of it is left', async () => {
      const store = await fresh();
      const group = [escrow(1), escrow(2), escrow(3)].map(candidate);
      // The database refuses a fingerprint of 31 bytes, after the outcome and the first key went in.
      const poison = {
        ...group[1]!,
        secrets: [
          ...group[1]!.secrets,
          { ...group[0]!.secrets[0]!, secretId: sha256('poison'), fingerprint: Buffer.alloc(31) },
        ],
      };
      const results = await commitGroup(store, [group[0]!, poison, group[2]!], testPlanner());
      expect(results.map((result) => result.kind)).toEqual(['done', 'failed', 'done']);
      expect(results[1]).toMatchObject({ error: { code: 'STORE_FAILED' } });
      expect(await store.counts()).toMatchObject({ keys: 2, outcomes: 2 });
      expect(await store.findOutcome(id('client', 1), id('message', 2))).toBeNull();
      await store.close();
    });

    it.each([
      ['a sequence beyond 64 bits', { rank: { epoch: 1, sequence: 2n ** 63n, digest: sha256('x') } }],
      ['a digest of 3 bytes', { rank: { epoch: 1, sequence: 5n, digest: Buffer.alloc(3) } }],
      ['an unregistered client', { clientId: id('client', 99) }],
    ])('fails a message with %s alone', async (_name, change) => {
      const store = await fresh();
      const group = [candidate(escrow(1)), { ...candidate(escrow(2)), ...change }, candidate(escrow(3))];
      const results = await commitGroup(store, group, testPlanner());
      expect(results.map((result) => result.kind)).toEqual(['done', 'failed', 'done']);
      expect((await store.counts()).outcomes).toBe(2);
      await store.close();
    });

    it('prunes old outcomes; the message again writes no key', async () => {
      const store = await fresh();
      await send(store, [escrow(1)], { atMs: T0 });
      await send(store, [escrow(2)], { atMs: T0 + 1000 });
      expect(await store.pruneOutcomes(T0 + 1000)).toBe(1);
      const before = await store.counts();
      expect(await store.findOutcome(id('client', 1), id('message', 1))).toBeNull();
      const [again] = await commitGroup(store, [candidate(escrow(1))], testPlanner({ atMs: T0 + 2000 }));
      expect(again).toMatchObject({ kind: 'done', reply: 'COMMITTED', keysWritten: 0 });
      expect(await store.counts()).toEqual({ ...before, outcomes: before.outcomes + 1 });
      await store.close();
    });

    it('flags a client whose two messages carry one sequence, keeps both, and frees the next epoch', async () => {
      const store = await fresh();
      await send(store, [escrow(1)]);
      const twin = escrow(2, { sequence: 1 });
      expect((await store.classify([candidate(twin)]))[0]).toMatchObject({
        sequenceTwin: true,
        registerAnew: false,
      });
      expect(await send(store, [twin])).toEqual(['COMMITTED']);
      expect((await store.counts()).keys).toBe(2);
      expect((await store.classify([candidate(escrow(3))]))[0]).toMatchObject({
        registerAnew: true,
        sequenceTwin: false,
      });
      expect((await store.findClient(id('client', 1)))?.flags).toMatchObject([{ flag: 'CLONE' }]);
      expect((await store.classify([candidate(escrow(3, { epoch: 2 }))]))[0]?.registerAnew).toBe(false);
      // The same message again is no twin of itself.
      expect((await store.classify([candidate(escrow(3, { client: 2 }))]))[0]?.sequenceTwin).toBe(false);
      await store.close();
    });

    it.each([
      ['one group', (store: SiteStore, a: MessageSpec, b: MessageSpec) => send(store, [a, b])],
      [
        'one after the other',
        async (store: SiteStore, a: MessageSpec, b: MessageSpec) => [
          ...(await send(store, [a])),
          ...(await send(store, [b])),
        ],
      ],
    ])('flags two check-ins of one sequence, whichever outranks the other: %s', async (_name, sendBoth) => {
      const checkIn = (client: number, message: number): MessageSpec => ({
        client,
        message,
        sequence: 7,
        volumes: [{ volume: client, protectors: [{ key: client }] }],
        state: { machineName: `PC${message}` },
      });
      const digest = (spec: MessageSpec): string => hex(candidate(spec).rank.digest);
      const store = await fresh();
      for (const client of [1, 2]) {
        const [low, high] = [checkIn(client, 1), checkIn(client, 2)].sort((a, b) =>
          digest(a) < digest(b) ? -1 : 1,
        );
        const [first, second] = client === 1 ? [low!, high!] : [high!, low!];
        expect(await sendBoth(store, first, second)).toEqual(['COMMITTED', 'COMMITTED']);
        expect((await store.findClient(id('client', client)))?.flags).toMatchObject([{ flag: 'CLONE' }]);
        const stored = (await store.classify([candidate(high!)]))[0]?.stateRank;
        expect(hex(stored!.digest)).toBe(digest(high!));
      }
      // A check-in again is no twin of itself.
      const alone = { ...checkIn(2, 9), sequence: 9 };
      await send(store, [alone]);
      expect((await store.classify([candidate(alone)]))[0]?.sequenceTwin).toBe(false);
      await store.close();
    });
  });
}
