/**
 * Writes plans in one transaction with a constant number of round trips: BEGIN, the outcomes, the
 * effects, COMMIT.
 *
 * What holds, and why:
 *  * The outcome rows go in first, plainly, by an INSERT without a filter: the fence. It waits for
 *    whoever has written the same row and not ended, a zombie (a transaction whose client is gone
 *    and which the server still holds) included, and fails where that one committed. Reading the
 *    outcome instead would not see a zombie.
 *  * READ COMMITTED gives no more than this: what a statement reads was committed when it read it,
 *    and what we wrote is ours until the end. What we read may change before our next statement.
 *    So nothing rests on a read. Reads spare work, and number generations; whether a row may be
 *    written is up to the unique constraints, and that ranks and outcomes only go up is in the
 *    condition of the same UPDATE that writes them, and in a trigger.
 *  * The group is reduced first (reduce.ts): each row once, the highest rank where rows replace each
 *    other, in order of keys. Statements come in one order of tables. A deadlock is still possible:
 *    the server rolls one writer back, which is transient.
 *  * Results tell by SELECT what was written, for the counts of rows that a server reports are not
 *    to be relied upon. COMMITTED must mean readable: a plan with a secret that is not healthy in
 *    the end, and one that holds plain text while the site has a data key, is `raced`.
 *  * A plan is `raced` with nothing of it written: the transaction is rolled back and run again with
 *    the others. Each run leaves at least one plan out, so there are at most as many as plans.
 *
 * What becomes of errors; all is rolled back in each case:
 *  * unique violation of the fence: those plans whose row is there are raced, the others run again
 *  * unique violation elsewhere where two commits may meet (races.ts), or a guard of the schema that
 *    says that our facts have aged: all are raced
 *  * deadlock, time-out, lost connection, no answer to COMMIT: thrown as STORE_TRANSIENT
 *  * anything else: thrown as STORE_FAILED, and the caller hunts the culprit down by halves
 *
 * Crash points:
 *  * before COMMIT reaches the server: nothing happened; the server rolls back when it notices.
 *  * COMMIT executed, its answer lost: thrown as STORE_TRANSIENT; the caller classifies again and
 *    finds the outcomes.
 *  * COMMIT on its way to a server that is slow: the caller may classify before it, and sees nothing;
 *    its next insert waits at the fence and loses. Each message has one outcome in every order.
 *
 * Two clones that commit the same sequence in the same instant may both miss each other, for neither
 * sees what is not committed. Their sequences meet again with the next message.
 */
import { isMpeError, MpeError } from '../../ops/errors.js';
import type { ApplyResult, CommitPlan } from '../site-store.js';
import type { Connection } from './connection.js';
import { toStoreError } from './errors.js';
import { hexOf, type JsonRow } from './json-rows.js';
import { findOutcomes } from './outcomes.js';
import { sqlTime } from './parameters.js';
import { refusalOf, splitBySize } from './plan-limits.js';
import { raceOf } from './races.js';
import { reduce } from './reduce.js';
import { nextGenerations } from './reduce-secrets.js';
import type { Session } from './session.js';
import { writeEffects } from './write-effects.js';
import { writeOutcomes } from './write-outcomes.js';

/** Rolls the transaction back because of these plans, by their place in the group. */
class Raced extends Error {
  readonly places: ReadonlySet<number>;
  constructor(places: ReadonlySet<number>) {
    super('others were first');
    this.places = places;
  }
}

/**
 * Applies plans durably; answers in their order.
 *
 * @throws MpeError STORE_TRANSIENT or STORE_FAILED where a transaction as a whole fails
 */
export async function apply(connection: Connection, plans: readonly CommitPlan[]): Promise<ApplyResult[]> {
  const results = new Map<CommitPlan, ApplyResult>();
  for (const plan of plans) {
    const refusal = refusalOf(plan);
    if (refusal !== null) results.set(plan, { kind: 'failed', error: refusal });
  }
  for (const group of splitBySize(plans.filter((plan) => !results.has(plan)))) {
    await applyGroup(connection, group, results);
  }
  return plans.map((plan) => {
    const result = results.get(plan);
    if (result === undefined) throw new MpeError('INTERNAL', 'a plan left the commit without a result');
    return result;
  });
}

/** One group: run until what is left of it is committed. */
async function applyGroup(
  connection: Connection,
  group: readonly CommitPlan[],
  results: Map<CommitPlan, ApplyResult>,
): Promise<void> {
  let open = group;
  while (open.length > 0) {
    const running = open;
    try {
      const written = await connection.transaction((tx) => writeGroup(tx, running));
      running.forEach((plan, n) => results.set(plan, { kind: 'applied', keysWritten: written[n] ?? 0 }));
      return;
    } catch (error) {
      const raced = await racedPlaces(connection, running, error);
      running.forEach((plan, n) => {
        if (raced.has(n)) results.set(plan, { kind: 'raced' });
      });
      open = running.filter((_plan, n) => !raced.has(n));
    }
  }
}

/** Everything of a group; the number of generations that each plan wrote. */
async function writeGroup(tx: Session, plans: readonly CommitPlan[]): Promise<number[]> {
  const group = reduce(plans);
  const facts = await writeOutcomes(tx, group);
  const generations = nextGenerations(group.brought, facts.healthy, facts.generations);
  const comes = new Set(group.brought.map(({ id }) => id));
  throwRaced(plans, (plan, n) => {
    const stuck = plan.outcome !== null && plan.outcomeMode === 'move-up' && !facts.moved.has(n);
    const lacks = lacksSecret(plan, (id) => facts.healthy.has(id) || comes.has(id));
    return stuck || lacks || holdsPlainBeside(facts.hasDataKey, plan);
  });
  const twins = new Set([...group.twins, ...facts.twins]);
  const after = await writeEffects(tx, group, generations, cloneFlags(plans, twins));
  throwRaced(
    plans,
    (plan) => lacksSecret(plan, (id) => !after.unhealthy.has(id)) || holdsPlainBeside(after.hasDataKey, plan),
  );
  const written = plans.map(() => 0);
  for (const { plan } of generations) written[plan] = (written[plan] ?? 0) + 1;
  return written;
}

function throwRaced(
  plans: readonly CommitPlan[],
  isRaced: (plan: CommitPlan, place: number) => boolean,
): void {
  const places = new Set(plans.flatMap((plan, n) => (isRaced(plan, n) ? [n] : [])));
  if (places.size > 0) throw new Raced(places);
}

const lacksSecret = ({ effects, candidate }: CommitPlan, isReadable: (id: string) => boolean): boolean =>
  effects && candidate.secrets.some(({ secretId }) => !isReadable(hexOf(secretId)));

/** A worker that does not know the site's certificate yet: it reads the site document again. */
const holdsPlainBeside = (hasDataKey: boolean, { effects, secrets }: CommitPlan): boolean =>
  hasDataKey && effects && secrets.some(({ content }) => content.form === 'PLAIN');

/** One flag for each epoch of a client that has twins. */
function cloneFlags(plans: readonly CommitPlan[], twins: ReadonlySet<number>): JsonRow[] {
  const rows = new Map<string, JsonRow>();
  plans.forEach(({ candidate: { clientId, rank }, atMs }, n) => {
    if (!twins.has(n) || rows.has(`${clientId}/${rank.epoch}`)) return;
    rows.set(`${clientId}/${rank.epoch}`, {
      ...{ ClientId: clientId, Epoch: rank.epoch, FlaggedAt: sqlTime(atMs) },
      Detail: `two messages have sequence ${rank.sequence}`,
    });
  });
  return [...rows.values()];
}

/**
 * Whom others overtook, by an error of the transaction.
 *
 * @throws MpeError where the error says nothing of others
 */
async function racedPlaces(
  connection: Connection,
  plans: readonly CommitPlan[],
  error: unknown,
): Promise<ReadonlySet<number>> {
  if (error instanceof Raced) return error.places;
  const race = raceOf(error);
  if (race === null || isMpeError(error)) throw toStoreError(error, 'committing messages');
  const all = new Set(plans.keys());
  if (race === 'elsewhere') return all;
  const stored = await findOutcomes(
    connection,
    plans.map(({ candidate }) => candidate),
  );
  const found = [...all].filter(
    (n) => (stored[n] ?? null) !== null && plans[n]?.outcome !== null && plans[n]?.outcomeMode === 'insert',
  );
  // The row that was in the way may have been pruned since.
  return found.length > 0 ? new Set(found) : all;
}
