import { afterAll, beforeAll, expect, it } from 'vitest';
import { commitGroup } from '../../src/store/commit/commit-group.js';
import { openStore } from '../../src/store/open-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { FaultProxy, TDS, type Direction, type Fault, type FaultKind } from '../support/fault-proxy.js';
import { describeSqlServer, makeSqlServerDatabase, type SqlServerDatabase } from '../support/sqlserver.js';
import { candidate, register, siteSeed, testPlanner, type MessageSpec } from './world.js';

/** Short, so that a silent line costs a test little; a commit takes milliseconds. */
const REQUEST_TIMEOUT_MS = 1_500;
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
  /** Through the proxy. */
  let store: SiteStore;
  /** Past it. */
  let direct: SiteStore;

  beforeAll(async () => {
    database = await makeSqlServerDatabase();
    const { target } = database.location;
    proxy = await FaultProxy.open({ host: target.host, port: target.port });
    direct = await openStore(database.location);
    await direct.createSite(siteSeed());
    await register(direct, 1);
    store = await openStore({
      ...database.location,
      target: { ...target, host: '127.0.0.1', port: proxy.port, requestTimeoutMs: REQUEST_TIMEOUT_MS },
      poolMax: 2,
    });
  }, 300_000);

  afterAll(async () => {
    await proxy.close();
    await Promise.all([store.close(), direct.close()]);
  });

  /** Commits two messages while a fault waits; what was told must be there, and the rest can still be sent. */
  async function survives(fault: Fault): Promise<void> {
    const specs = nextMessages(2);
    const messages = specs.map(candidate);
    proxy.break(fault);
    const told = await commitGroup(store, messages, testPlanner());
    proxy.heal();
    for (const [i, result] of told.entries()) {
      expect(result.kind, JSON.stringify(fault)).not.toBe('failed');
      const { clientId, messageId } = messages[i]!;
      if (result.kind === 'done') expect(await direct.findOutcome(clientId, messageId)).not.toBeNull();
    }
    // A client that was told nothing sends the same message again.
    const again = await commitGroup(direct, messages, testPlanner());
    expect(again.map((result) => result.kind)).toEqual(['done', 'done']);
    const counts = await direct.counts();
    expect(counts).toMatchObject({ outcomes: number, keys: number, secrets: number });
    const [facts] = await direct.classify([messages[1]!]);
    expect(facts).toMatchObject({ sequenceTwin: false, highestSequence: BigInt(number) });
    expect(facts!.healthy.size).toBe(1);
  }

  it('sends a commit in five requests, however large the group is', { timeout: 60_000 }, async () => {
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
  )('%s %s', { timeout: 60_000 }, (kind, _where, direction: Direction, at) =>
    survives({ kind, direction, at }),
  );

  it.each(['cut', 'reset'] as const)(
    '%s inside a message, at any byte',
    { timeout: 300_000 },
    async (kind) => {
      for (let byte = 1; byte < 40_000; byte += 2_111) {
        await survives({ kind, direction: 'toServer', at: { byte } });
      }
      for (let byte = 1; byte < 2_500; byte += 131) {
        await survives({ kind, direction: 'toClient', at: { byte } });
      }
    },
  );

  it('ends each message once where ROLLBACK is cut off as well', { timeout: 60_000 }, async () => {
    const [taken] = nextMessages(1);
    await commitGroup(direct, [candidate(taken!)], testPlanner());
    const [facts] = await direct.classify([candidate({ ...taken!, message: 900_000 })]);
    const decision = await testPlanner()(candidate(taken!), { ...facts!, outcome: null, healthy: new Set() });
    if (decision.kind !== 'write') throw new Error('the planner did not write');
    // The fence refuses; the third transaction message of the line would be the rollback.
    proxy.break({ kind: 'reset', direction: 'toServer', at: { type: TDS.transaction, message: 2 } });
    expect(await store.apply([decision.plan])).toEqual([{ kind: 'raced' }]);
    proxy.heal();
    expect(await direct.counts()).toMatchObject({ outcomes: number, keys: number, secrets: number });
  });
});
