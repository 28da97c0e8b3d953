/**
 * The commit of a group of messages: classify → plan → apply, again and again until each message
 * has its result.
 *
 * Invariants
 *  * Each message takes effect once. The outcome row is the fence: the store inserts it first and
 *    plainly, and a violation (`raced`) sends the message back to `classify`, which then finds what
 *    the other one wrote. A message that leaves no outcome (a CheckIn) has only effects that repeat
 *    without harm.
 *  * A reply is given back only after `apply` said `applied`, so it never tells more than what is on
 *    disk. The planner may seal the reply before, for it is stored with the outcome.
 *  * Twins, messages with the same (client, message id) in one group: the first counts, the others
 *    wait for a later round, where `classify` sees the first one's outcome.
 *  * One bad message harms no other: an error of a plan or of a planner is that message's `failed`;
 *    an error of the whole group that is not transient, or is of some rows alone, is hunted down by
 *    halves (bisect.ts).
 *
 * Crash points
 *  * before `apply`: nothing is written; the message is delivered again.
 *  * inside `apply`: the database has all of the transaction or nothing of it; as above.
 *  * after the commit, before its answer arrived (or the answer is an error of the connection): the
 *    store throws STORE_TRANSIENT, the next round classifies, finds the outcome with the same digest
 *    and the planner answers ALREADY_COMMITTED. Reading instead of committing again is not enough
 *    against a transaction that still hangs in the server; the plain outcome insert waits for it.
 *  * after the answer, before the reply is published: the message is delivered again, as above.
 *
 * Nothing here is specific to a database.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isMpeError, MpeError } from '../../ops/errors.js';
import { isOfSomeRows } from '../of-some-rows.js';
import type { Classified, CommitCandidate, CommitPlan, SiteStore } from '../site-store.js';
import { bisect } from './bisect.js';

/** What the planner decides over a message, in the light of what the database knows. */
export type Decision<R> =
  /** Write the plan; `reply` counts once it is durable. */
  | { readonly kind: 'write'; readonly plan: CommitPlan; readonly reply: R }
  /** Nothing to write. */
  | { readonly kind: 'reply'; readonly reply: R };

/** Decides over one message. Called again after a race, with newer facts; writes nothing itself. */
export type Planner<R> = (candidate: CommitCandidate, facts: Classified) => Promise<Decision<R>>;

/** What became of one message. */
export type GroupResult<R> =
  /** The reply may be sent. `written`: this call wrote something for it. */
  | { readonly kind: 'done'; readonly reply: R; readonly written: boolean; readonly keysWritten: number }
  /** Nothing is wrong with the message: try again later. */
  | { readonly kind: 'transient'; readonly error: Error }
  /** This message alone makes the planner or the database fail. */
  | { readonly kind: 'failed'; readonly error: Error };

/** Bounds of the loop, and hooks for tests. */
export interface CommitGroupOptions {
  /** Races of one message before it is given back as transient. Default 10. */
  readonly maxRaces?: number;
  /** Transient errors in a row before the group is given back. Default 5. */
  readonly maxTransient?: number;
  /** Waits the given milliseconds; the default sleeps. */
  readonly pause?: (ms: number) => Promise<void>;
  /** Is told each transaction that is to be done again, and for a transient error also the error. */
  readonly onRetry?: (cause: 'race' | 'transient', error: MpeError | null) => void;
}

/** A message on its way through the rounds. */
interface Entry<R> {
  readonly index: number;
  readonly candidate: CommitCandidate;
  races: number;
  transients: number;
  /** The last transient error. */
  lastError: MpeError | null;
  result: GroupResult<R> | null;
}

/**
 * Commits a group; answers in the order given. Never throws for a reason that lies in the database
 * or in a message.
 */
export async function commitGroup<R>(
  store: Pick<SiteStore, 'classify' | 'apply'>,
  candidates: readonly CommitCandidate[],
  planner: Planner<R>,
  options: CommitGroupOptions = {},
): Promise<GroupResult<R>[]> {
  const maxRaces = options.maxRaces ?? 10;
  const maxTransient = options.maxTransient ?? 5;
  const pause = options.pause ?? ((ms: number) => sleep(ms));
  const onRetry = options.onRetry ?? (() => undefined);
  const entries = candidates.map((candidate, index): Entry<R> => ({
    index,
    candidate,
    races: 0,
    transients: 0,
    lastError: null,
    result: null,
  }));

  for (;;) {
    const open = entries.filter((entry) => entry.result === null);
    if (open.length === 0) break;
    const round = firstOfEach(open);
    await bisect(
      round,
      // A half may hold messages that the planner answered before the store failed.
      (part) =>
        runRound(
          store,
          part.filter((entry) => entry.result === null),
          planner,
          onRetry,
        ),
      (entry, error) => {
        entry.result = { kind: 'failed', error };
      },
    );
    let wait = 0;
    for (const entry of round) {
      if (entry.result !== null) continue;
      if (entry.races > maxRaces) {
        entry.result = {
          kind: 'transient',
          error: new MpeError(
            'STORE_TRANSIENT',
            `raced ${entry.races} times for message ${entry.candidate.messageId}`,
          ),
        };
      }
      wait = Math.max(wait, entry.races, entry.transients);
    }
    for (const entry of round) {
      if (entry.result === null && entry.transients > maxTransient) {
        entry.result = { kind: 'transient', error: givenUp(entry) };
      }
    }
    // Full jitter: those who met once do not meet again at the same moment.
    if (wait > 0) await pause(Math.random() * Math.min(500, 5 * 2 ** wait));
  }
  return entries.map(
    (entry) =>
      entry.result ?? {
        kind: 'failed',
        error: new MpeError('INTERNAL', 'a message left the loop without a result'),
      },
  );
}

/** Names the last error of the database: its text has the number and no values. */
function givenUp<R>({ transients, lastError }: Entry<R>): MpeError {
  return new MpeError(
    'STORE_TRANSIENT',
    `the site database did not take the commit in ${transients} tries; the last error: ${lastError?.message ?? 'unknown'}`,
    lastError === null ? {} : { cause: lastError, facts: lastError.facts },
  );
}

/** The first open entry of each (client, message id). */
function firstOfEach<R>(open: readonly Entry<R>[]): Entry<R>[] {
  const seen = new Set<string>();
  return open.filter(({ candidate }) => {
    const key = `${candidate.clientId}/${candidate.messageId}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/**
 * One pass over some entries: sets results, or counts races and transient errors.
 *
 * @throws the store's error where it is not transient, or concerns some of them alone: the caller bisects.
 */
async function runRound<R>(
  store: Pick<SiteStore, 'classify' | 'apply'>,
  round: readonly Entry<R>[],
  planner: Planner<R>,
  onRetry: NonNullable<CommitGroupOptions['onRetry']>,
): Promise<void> {
  if (round.length === 0) return;
  try {
    const facts = await store.classify(round.map((entry) => entry.candidate));
    const writes = (await Promise.all(round.map((entry, i) => decide(entry, facts[i], planner)))).filter(
      (write) => write !== null,
    );
    if (writes.length === 0) return;
    const applied = await store.apply(writes.map((write) => write.plan));
    writes.forEach(({ entry, reply }, i) => {
      const result = applied[i];
      if (result === undefined) throw new MpeError('INTERNAL', 'the store answered fewer plans than it got');
      switch (result.kind) {
        case 'applied':
          entry.result = { kind: 'done', reply, written: true, keysWritten: result.keysWritten };
          return;
        case 'raced':
          entry.races += 1;
          return;
        case 'failed':
          entry.result = { kind: 'failed', error: result.error };
          return;
      }
    });
    if (applied.some((result) => result.kind === 'raced')) onRetry('race', null);
  } catch (error) {
    if (!isMpeError(error, 'STORE_TRANSIENT')) throw error;
    onRetry('transient', error);
    if (isOfSomeRows(error)) {
      if (round.length > 1) throw error;
      for (const entry of round) entry.result ??= { kind: 'transient', error };
      return;
    }
    for (const entry of round) {
      if (entry.result !== null) continue;
      entry.transients += 1;
      entry.lastError = error;
    }
  }
}

/** Asks the planner; an answer without a write, and a planner that throws, are results. */
async function decide<R>(
  entry: Entry<R>,
  facts: Classified | undefined,
  planner: Planner<R>,
): Promise<{ entry: Entry<R>; plan: CommitPlan; reply: R } | null> {
  try {
    if (facts === undefined)
      throw new MpeError('INTERNAL', 'the store classified fewer messages than it got');
    const decision = await planner(entry.candidate, facts);
    if (decision.kind === 'write') return { entry, plan: decision.plan, reply: decision.reply };
    entry.result = { kind: 'done', reply: decision.reply, written: false, keysWritten: 0 };
  } catch (error) {
    const known = error instanceof Error ? error : new Error(String(error));
    const retryable = isMpeError(known) && known.retryable;
    entry.result = { kind: retryable ? 'transient' : 'failed', error: known };
  }
  return null;
}
