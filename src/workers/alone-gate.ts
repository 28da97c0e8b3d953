/**
 * Lets jobs run side by side, and one suspect alone: a suspect waits until those inside are done,
 * and those that come meanwhile wait until it is done. Several suspects run one after the other.
 */
export class AloneGate {
  #inside = 0;
  #alone = false;
  readonly #suspects: (() => void)[] = [];
  readonly #others: (() => void)[] = [];

  /** Runs `work` beside others. */
  async together<T>(work: () => Promise<T>): Promise<T> {
    if (this.#alone || this.#suspects.length > 0) {
      // Whoever lets it in has counted it in already.
      await new Promise<void>((enter) => this.#others.push(enter));
    } else {
      this.#inside += 1;
    }
    try {
      return await work();
    } finally {
      this.#inside -= 1;
      this.#next();
    }
  }

  /** Runs `work` while nothing else runs. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#alone || this.#inside > 0 || this.#suspects.length > 0) {
      await new Promise<void>((enter) => this.#suspects.push(enter));
    } else {
      this.#alone = true;
    }
    try {
      return await work();
    } finally {
      this.#alone = false;
      this.#next();
    }
  }

  #next(): void {
    if (this.#alone || this.#inside > 0) return;
    const suspect = this.#suspects.shift();
    if (suspect !== undefined) {
      this.#alone = true;
      suspect();
      return;
    }
    for (const enter of this.#others.splice(0)) {
      this.#inside += 1;
      enter();
    }
  }
}
