/**
 * The one source of wall-clock time. A test site may shift it (`MPE_TEST_CLOCK_OFFSET`); intervals
 * and time-outs use monotonic timers and are never shifted.
 */
export interface Clock {
  /** Now, as milliseconds since the epoch. */
  now(): number;
}

/** The system clock, shifted by `offsetMs`. */
export function systemClock(offsetMs = 0): Clock {
  return { now: () => Date.now() + offsetMs };
}

/** A clock that stands at one instant, for replaying at a given time. */
export function fixedClock(atMs: number): Clock {
  return { now: () => atMs };
}
