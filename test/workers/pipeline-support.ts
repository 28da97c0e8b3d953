import type { PolicyRow, SiteStore } from '../../src/store/site-store.js';
import { TestSite, type Sent } from './support.js';

/** Everything the database has on a message. */
export async function traceOf(
  sent: Sent,
  of: TestSite,
): Promise<{ outcomes: number; quarantined: number; dead: number }> {
  const trace = await of.store.traceMessage(sent.job.messageId);
  return {
    outcomes: trace.outcomes.length,
    quarantined: trace.quarantined.length,
    dead: trace.deadLetters.length,
  };
}

/** A store with some of its operations replaced. */
export function faulty(store: SiteStore, replaced: Partial<SiteStore>): SiteStore {
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
export function siteWithPolicy(change: Partial<PolicyRow>): Promise<TestSite> {
  return TestSite.create({ seed: (seed) => ({ ...seed, policy: { ...seed.policy, ...change } }) });
}
