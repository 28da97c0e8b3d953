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

/**
 * Runs synchronous work and complains when it held the event loop for long. What counts is the time of the
 * processor: on a busy machine a process may stand still for longer than that.
 */
export function bounded<T>(work: () => T): T {
  const before = process.cpuUsage();
  const result = work();
  const { user, system } = process.cpuUsage(before);
  const took = (user + system) / 1000;
  if (took > HOLD_MS) throw new Error(`the event loop was held for ${took.toFixed(0)} ms`);
  return result;
}
