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
