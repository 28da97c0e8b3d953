/** Where a client's state lies. One text, replaced as a whole. */
export interface StateStore {
  /** The text, or null where there is none yet. */
  read(): Promise<string | null>;
  /**
   * Replaces the text; durable when it resolves.
   *
   * @param encode gives the text, as of the moment at which it is called.
   */
  write(encode: () => string): Promise<void>;
  /** Gives the place free for another process. */
  close(): void;
}

/**
 * State in memory, for simulated clients that live no longer than their process (bench, demo).
 * A real client must not use it: what it holds is lost with the process.
 */
export class MemoryStateStore implements StateStore {
  #encode: (() => string) | null = null;

  read(): Promise<string | null> {
    return Promise.resolve(this.#encode?.() ?? null);
  }

  write(encode: () => string): Promise<void> {
    this.#encode = encode;
    return Promise.resolve();
  }

  close(): void {
    // Nothing is held.
  }
}
