import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/ops/clock.js';
import { commitGroup, type GroupResult } from '../../src/store/commit/commit-group.js';
import { MssqlStore } from '../../src/store/mssql/mssql-store.js';
import { openConnection } from '../../src/store/mssql/open-connection.js';
import { openStore } from '../../src/store/open-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import {
  FaultProxy,
  TDS,
  type Direction,
  type Fault,
  type FaultKind,
  type SetFault,
} from '../support/fault-proxy.js';
import { describeSqlServer, makeSqlServerDatabase, type SqlServerDatabase } from '../support/sqlserver.js';
import { candidate, register, siteSeed, testPlanner, type MessageSpec, type TestReply } from './world.js';

/**
 * A commit takes milliseconds on a warm connection. After each fault there is a new one, and over its
 * first batches a busy test server takes seconds: only what has to wait for a silent line is brisk.
 */
const BRISK_TIMEOUT_MS = 3_000;
const PATIENT_TIMEOUT_MS = 60_000;
const TEST = { timeout: 180_000 };
/** What one undisturbed commit sends: classify, BEGIN, outcomes, effects, COMMIT. */
const EXCHANGE = [TDS.rpc, TDS.transaction, TDS.rpc, TDS.rpc, TDS.transaction];

/** Messages with a secret and a report each, every one with its own number. */
let number = 0;
const nextMessages = (count: number): MessageSpec[] =>
  Array.from({ length: count }, () => {
    number += 1;
    return {
      ...{ client: 1, message: number, sequence: number },
      volumes: [{ volume: number % 3, protectors: [{ key: number, password: `password ${number}` }] }],
    };
  });

describeSqlServer('commit on SQL Server over a line that breaks', () => {
  let database: SqlServerDatabase;
  let proxy: FaultProxy;
  /** Through the proxy; a line that breaks is noticed at once. */
  let store: SiteStore;
  /** Through the proxy; for lines that go silent. */
  let brisk: SiteStore;
  /** Past it. */
  let direct: SiteStore;

  beforeAll(async () => {
    database = await makeSqlServerDatabase();
    const { target } = database.location;
    proxy = await FaultProxy.open({ host: target.host, port: target.port });
    direct = await openStore(database.location);
    await direct.createSite(siteSeed());
    await register(direct, 1);
    const through = { ...target, host: '127.0.0.1', port: proxy.port };
    store = await openStore({
      ...database.location,
      target: { ...through, requestTimeoutMs: PATIENT_TIMEOUT_MS },
      poolMax: 2,
    });
    // Without the checks of a start: they are slow on a new connection as well.
    brisk = new MssqlStore(
      await openConnection({ ...through, requestTimeoutMs: BRISK_TIMEOUT_MS }, 2),
      systemClock(),
    );
  }, 300_000);

  afterAll(async () => {
    await proxy.close();
    await Promise.all([store.close(), brisk.close(), direct.close()]);
  }, 60_000);

  /** Commits without a fault until the connection answers in time, so that the fault meets the commit. */
  async function warm(): Promise<void> {
    for (let isWarm = false; !isWarm;) {
      const messages = nextMessages(1).map(candidate);
      const attempt = async (): Promise<GroupResult<TestReply>> =>
        (await commitGroup(brisk, messages, testPlanner(), { maxTransient: 0 }))[0]!;
      let result = await attempt();
      while (result.kind === 'transient') result = await attempt();
      expect(result.kind).toBe('done');
      isWarm = result.kind === 'done' && result.written;
    }
  }

  /** Commits two messages while a fault waits; what was told must be there, and the rest can still be sent. */
  async function survives(fault: Fault): Promise<SetFault> {
    // The driver does not hear of an end inside an answer: our own bound ends that wait, as with silence.
    const through = fault.kind === 'silent' || 'byte' in fault.at ? brisk : store;
    if (through === brisk) await warm();
    const specs = nextMessages(2);
    const messages = specs.map(candidate);
    const set = proxy.break(fault);
    const told = await commitGroup(through, messages, testPlanner());
    proxy.heal();
    const place = JSON.stringify(fault);
    for (const [i, result] of told.entries()) {
      expect(result.kind, place).not.toBe('failed');
      if (result.kind !== 'done') continue;
      const [facts] = await direct.classify([messages[i]!]);
      expect(facts?.outcome?.disposition, place).toBe('COMMITTED');
      expect(facts?.healthy.size, place).toBe(1);
    }
    // A client that was told nothing sends the same message again.
    const again = await commitGroup(direct, messages, testPlanner());
    expect(again.map((result) => result.kind)).toEqual(['done', 'done']);
    const counts = await direct.counts();
    expect(counts).toMatchObject({ outcomes: number, keys: number, secrets: number });
    const [facts] = await direct.classify([messages[1]!]);
    expect(facts).toMatchObject({ sequenceTwin: false, highestSequence: BigInt(number) });
    expect(facts!.healthy.size).toBe(1);
    return set;
  }

  it('sends a commit in five requests, however large the group is', TEST, async () => {
    for (const size of [1, 2, 20]) {
      proxy.seen.length = 0;
      await commitGroup(store, nextMessages(size).map(candidate), testPlanner());
      const sent = proxy.seen.filter(({ direction }) => direction === 'toServer').map(({ type }) => type);
      expect(sent).toEqual(EXCHANGE);
    }
  });

  const steps = EXCHANGE.flatMap((type, i) => {
    const message = EXCHANGE.slice(0, i + 1).filter((one) => one === type).length;
    const name = ['classify', 'BEGIN', 'the outcomes', 'the effects', 'COMMIT'][i]!;
    return [
      [`before ${name}`, 'toServer', { type, message }],
      [`after ${name}`, 'toServer', { type, message, after: true }],
      [`before the answer to ${name}`, 'toClient', { type: TDS.answer, message: i + 1 }],
      [`after the answer to ${name}`, 'toClient', { type: TDS.answer, message: i + 1, after: true }],
    ] as const;
  });
  const kinds: FaultKind[] = ['cut', 'reset', 'silent'];
  it.each(
    kinds.flatMap((kind) => steps.map(([where, direction, at]) => [kind, where, direction, at] as const)),
  )('%s %s', TEST, async (kind, _where, direction: Direction, at) => {
    expect(await survives({ kind, direction, at })).toMatchObject({ struck: true });
  });

  it.each(['cut', 'reset'] as const)(
    '%s inside a message, at bytes all over a commit',
    { timeout: 1_800_000 },
    async (kind) => {
      for (let byte = 1; byte < 24_000; byte += 3_333) {
        await survives({ kind, direction: 'toServer', at: { byte } });
      }
      for (let byte = 1; byte < 2_500; byte += 499) {
        await survives({ kind, direction: 'toClient', at: { byte } });
      }
    },
  );

  it.each([
    // The fence refuses; with XACT_ABORT the server has mostly rolled back before anybody asks.
    ['insert', 'the server rolls back'],
    // No row is refused, we roll back: the second message of the transaction is that for certain.
    ['move-up', 'we roll back'],
  ] as const)(
    'ends each message once where ROLLBACK is cut off (%s: %s)',
    TEST,
    async (outcomeMode, _who) => {
      const [taken] = nextMessages(1);
      const message = candidate(taken!);
      await commitGroup(direct, [message], testPlanner());
      const [facts] = await direct.classify([message]);
      const decision = await testPlanner()(message, { ...facts!, outcome: null, healthy: new Set() });
      if (decision.kind !== 'write') throw new Error('the planner did not write');
      const { plan } = decision;
      // As a worker would that has not seen the outcome, or saw a lower one; its answer is another.
      const late = { ...plan, outcomeMode, outcome: { ...plan.outcome!, sealedReply: 'another' } };
      const set = proxy.break({
        ...{ kind: 'reset', direction: 'toServer' },
        at: { type: TDS.transaction, message: 2 },
      });
      expect(await store.apply([late])).toEqual([{ kind: 'raced' }]);
      if (outcomeMode === 'move-up') expect(set.struck).toBe(true);
      proxy.heal();
      expect(await direct.counts()).toMatchObject({ outcomes: number, keys: number, secrets: number });
      expect(await direct.findOutcome(message.clientId, message.messageId)).not.toMatchObject({
        sealedReply: 'another',
      });
    },
  );
});
