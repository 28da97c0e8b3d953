/** Something that takes bytes from outside and must answer each of them in its own way. */
export interface FuzzTarget {
  readonly name: string;
  /** Valid inputs that fuzzing starts from. */
  readonly seeds: readonly Uint8Array[];
  /** Pieces that mean something to the target. */
  readonly words: readonly string[];
  /** Throws where the target did not do what it promises for every input. */
  run(input: Buffer): Promise<void> | void;
}

/** Longest that a target may hold the event loop for one input; no input is above 200 KiB. */
const HOLD_MS = 1000;

/** Of which the least counts: on a busy machine a process may stand still for longer than that. */
const TRIES = 10;

/**
 * Runs synchronous work, which may be done again, and complains when it held the event loop for long in each
 * of several tries: by the clock, which also sees what waits without working.
 */
export function bounded<T>(work: () => T, tries = TRIES): T {
  const before = performance.now();
  const outcome = outcomeOf(work);
  const took = performance.now() - before;
  if (took <= HOLD_MS) return outcome();
  if (tries <= 1)
    throw new Error(`the event loop was held for ${took.toFixed(0)} ms, the last of ${TRIES} times`);
  return bounded(work, tries - 1);
}

/** What it returned or threw, to be had later: a refusal may be slow as well. */
function outcomeOf<T>(work: () => T): () => T {
  try {
    const result = work();
    return () => result;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}
