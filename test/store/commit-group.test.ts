import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MpeError } from '../../src/ops/errors.js';
import { bisect } from '../../src/store/commit/bisect.js';
import {
  commitGroup,
  type CommitGroupOptions,
  type GroupResult,
} from '../../src/store/commit/commit-group.js';
import { openStore } from '../../src/store/open-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { tempFolder } from '../support/temp.js';
import { escrow } from './conformance/commits.js';
import { candidate, id, register, siteSeed, testPlanner, type MessageSpec, type TestReply } from './world.js';

/** The loop over a real store whose answers get lost, late or wrong on the way. */
describe('commit of a group', () => {
  let store: SiteStore;
  beforeEach(async () => {
    store = await openStore({ kind: 'sqlite', path: join(tempFolder('mpe-group-'), 'site.db') });
    await store.createSite(siteSeed());
    await register(store, 1);
  });
  afterEach(() => store.close());

  const pauses: number[] = [];
  const options: CommitGroupOptions = {
    pause: (ms) => {
      pauses.push(ms);
      return Promise.resolve();
    },
  };
  const group = (specs: readonly MessageSpec[], over: Pick<SiteStore, 'classify' | 'apply'>) =>
    commitGroup(over, specs.map(candidate), testPlanner(), options);
  const words = (results: readonly GroupResult<TestReply>[]): string[] =>
    results.map((result) => (result.kind === 'done' ? result.reply : result.kind));
  const lost = (): MpeError => new MpeError('STORE_TRANSIENT', 'the connection is gone');

  it('answers an empty group', async () => {
    expect(await group([], store)).toEqual([]);
  });

  it('finds its own commit again where the answer to COMMIT was lost', async () => {
    let calls = 0;
    const results = await group([escrow(1), escrow(2)], {
      classify: store.classify.bind(store),
      apply: async (plans) => {
        const answer = await store.apply(plans);
        calls += 1;
        if (calls === 1) throw lost();
        return answer;
      },
    });
    expect(words(results)).toEqual(['ALREADY_COMMITTED', 'ALREADY_COMMITTED']);
    expect(await store.counts()).toMatchObject({ outcomes: 2, keys: 2, secrets: 2 });
  });

  it('tries again after transient errors of classify and apply, then commits once', async () => {
    let faults = 4;
    const fault = (): void => {
      faults -= 1;
      if (faults >= 0) throw lost();
    };
    const results = await group([escrow(1), escrow(1), escrow(2)], {
      classify: async (candidates) => {
        fault();
        return store.classify(candidates);
      },
      apply: async (plans) => {
        fault();
        return store.apply(plans);
      },
    });
    expect(words(results)).toEqual(['COMMITTED', 'ALREADY_COMMITTED', 'COMMITTED']);
    expect(pauses.length).toBeGreaterThanOrEqual(4);
    expect(await store.counts()).toMatchObject({ outcomes: 2 });
  });

  it('gives the group back as transient where the database stays away', async () => {
    const results = await group([escrow(1), escrow(2)], {
      classify: store.classify.bind(store),
      apply: () => Promise.reject(lost()),
    });
    expect(results).toMatchObject([
      { kind: 'transient', error: { code: 'STORE_TRANSIENT' } },
      { kind: 'transient', error: { code: 'STORE_TRANSIENT' } },
    ]);
    expect((await store.counts()).outcomes).toBe(0);
  });

  it('puts off who needs a damaged page alone: its neighbours are committed', async () => {
    const damaged = new MpeError('STORE_TRANSIENT', 'committing messages: error 824', {
      facts: { number: 824, ofSomeRows: true },
    });
    const results = await group([escrow(1), escrow(2), escrow(3), escrow(4)], {
      classify: store.classify.bind(store),
      apply: (plans) =>
        plans.some((plan) => plan.candidate.messageId === id('message', 2))
          ? Promise.reject(damaged)
          : store.apply(plans),
    });
    expect(words(results)).toEqual(['COMMITTED', 'transient', 'COMMITTED', 'COMMITTED']);
    expect((results[1] as { error: Error }).error).toBe(damaged);
  });

  it('names the last error of the database when it gives up, and tells every retry', async () => {
    const retries: [string, string | undefined][] = [];
    let calls = 0;
    const results = await commitGroup(
      {
        classify: store.classify.bind(store),
        apply: (plans) => {
          calls += 1;
          if (calls === 1) return Promise.resolve(plans.map(() => ({ kind: 'raced' as const })));
          const detail = 'committing messages: chosen as deadlock victim (error 1205)';
          return Promise.reject(new MpeError('STORE_TRANSIENT', detail, { facts: { number: 1205 } }));
        },
      },
      [candidate(escrow(1))],
      testPlanner(),
      { ...options, maxTransient: 2, onRetry: (cause, error) => retries.push([cause, error?.message]) },
    );
    expect(results).toMatchObject([{ kind: 'transient', error: { facts: { number: 1205 } } }]);
    expect((results[0] as { error: Error }).error.message).toMatch(/in 3 tries.*deadlock.*1205/);
    expect(retries.map(([cause]) => cause)).toEqual(['race', 'transient', 'transient', 'transient']);
    expect(retries[3]![1]).toContain('1205');
  });

  it('gives a message that always races back as transient after ten races, and commits its neighbour', async () => {
    let applied = 0;
    const results = await group([escrow(1), escrow(2)], {
      classify: store.classify.bind(store),
      apply: async (plans) => {
        applied += 1;
        const racing = plans.findIndex((plan) => plan.candidate.messageId === id('message', 1));
        const answers = [...(await store.apply(plans.filter((_, i) => i !== racing)))];
        return plans.map((_, i) => (i === racing ? { kind: 'raced' } : answers.shift()!));
      },
    });
    expect(words(results)).toEqual(['transient', 'COMMITTED']);
    expect(applied).toBe(11);
  });

  it('hunts down the one message that makes the whole database call fail', async () => {
    let calls = 0;
    const results = await group(
      Array.from({ length: 16 }, (_, n) => escrow(n + 1)),
      {
        classify: store.classify.bind(store),
        apply: (plans) => {
          calls += 1;
          if (plans.some((plan) => plan.candidate.messageId === id('message', 11))) {
            return Promise.reject(new MpeError('STORE_FAILED', 'cannot convert a value'));
          }
          return store.apply(plans);
        },
      },
    );
    expect(words(results)).toEqual(Array.from({ length: 16 }, (_, n) => (n === 10 ? 'failed' : 'COMMITTED')));
    expect(calls).toBeLessThanOrEqual(9);
    expect((await store.counts()).outcomes).toBe(15);
  });

  it('keeps a planner that throws to its own message', async () => {
    const planner = testPlanner();
    const results = await commitGroup(
      store,
      [1, 2, 3].map((n) => candidate(escrow(n))),
      (message, facts) => {
        if (message.messageId === id('message', 1)) throw new Error('a mistake of ours');
        if (message.messageId === id('message', 2)) return Promise.reject(lost());
        return planner(message, facts);
      },
      options,
    );
    expect(words(results)).toEqual(['failed', 'transient', 'COMMITTED']);
  });

  it('plans again with newer facts after a race', async () => {
    let raced = false;
    const results = await group([escrow(1)], {
      classify: store.classify.bind(store),
      apply: async (plans) => {
        if (!raced) {
          raced = true;
          // Another process commits the same message in between.
          await store.apply(plans);
        }
        return store.apply(plans);
      },
    });
    expect(words(results)).toEqual(['ALREADY_COMMITTED']);
    expect(results[0]).toMatchObject({ written: false });
  });
});

describe('bisect', () => {
  it('finds every item that fails alone, and runs the others', async () => {
    const bad = new Set([3, 4, 9]);
    const failed: number[] = [];
    const ran = new Set<number>();
    await bisect(
      Array.from({ length: 12 }, (_, n) => n),
      (part) => {
        if (part.some((item) => bad.has(item))) return Promise.reject(new Error('bad'));
        for (const item of part) ran.add(item);
        return Promise.resolve();
      },
      (item) => failed.push(item),
    );
    expect(failed).toEqual([3, 4, 9]);
    expect(ran.size).toBe(9);
  });
});
