/** Longest piece of work between two turns of the event loop; one RSA operation comes on top. */
const SLICE_MS = 15;

/** Gives the event loop back often enough that probes are answered while thousands of secrets are opened. */
export class Breather {
  #since = performance.now();

  /** Call between two small pieces of work. */
  async pause(): Promise<void> {
    if (performance.now() - this.#since < SLICE_MS) return;
    await new Promise((resume) => setImmediate(resume));
    this.#since = performance.now();
  }
}

/** Runs work that yields between small pieces without a pause. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** Runs work that yields between small pieces, with pauses for others. */
export async function inPieces<T>(work: Generator<void, T>): Promise<T> {
  const breather = new Breather();
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    await breather.pause();
  }
}
