import { MpeError } from '../ops/errors.js';
import { decodeState, encodeState, type ClientState } from './state.js';
import type { StateStore } from './state-store.js';

/**
 * The state in memory and its way to disk. `update` resolves only when the change is durable;
 * changes that come while a write is under way share the next write.
 */
export class StateKeeper {
  readonly #store: StateStore;
  readonly #state: ClientState;
  #broken: unknown = null;
  #next: Promise<void> | null = null;
  #running: Promise<void> = Promise.resolve();

  private constructor(store: StateStore, state: ClientState) {
    this.#store = store;
    this.#state = state;
  }

  /** Reads what is there, or null. */
  static async load(store: StateStore): Promise<StateKeeper | null> {
    const text = await store.read();
    return text === null ? null : new StateKeeper(store, decodeState(text));
  }

  /** Starts with a first state, written before this resolves. */
  static async create(store: StateStore, state: ClientState): Promise<StateKeeper> {
    await store.write(() => encodeState(state));
    return new StateKeeper(store, state);
  }

  /** What is known now. Read only: changes go through {@link update}. */
  get state(): Readonly<ClientState> {
    return this.#state;
  }

  /**
   * Changes the state and makes the change durable.
   *
   * @throws MpeError STATE_INVALID once a write has failed: what is on disk is then older than what
   *   is in memory, and only a fresh start from disk is safe (it re-sends, and re-sending is harmless).
   */
  async update<R>(change: (state: ClientState) => R): Promise<R> {
    this.#refuseBroken();
    const result = change(this.#state);
    this.#next ??= this.#running.then(() => this.#write());
    await this.#next;
    return result;
  }

  /**
   * Waits until everything in {@link state} now is on disk: what is about to leave this machine must
   * be there first.
   *
   * @throws MpeError STATE_INVALID where a write has failed.
   */
  async durable(): Promise<void> {
    await (this.#next ?? this.#running);
    this.#refuseBroken();
  }

  /** Waits for writes under way and closes the store. */
  async close(): Promise<void> {
    await (this.#next ?? this.#running).catch(() => undefined);
    this.#store.close();
  }

  async #write(): Promise<void> {
    this.#next = null;
    this.#refuseBroken();
    this.#running = this.#store
      .write(() => encodeState(this.#state))
      .catch((error: unknown) => {
        this.#broken = error;
      });
    await this.#running;
    this.#refuseBroken();
  }

  #refuseBroken(): void {
    if (this.#broken === null) return;
    throw new MpeError(
      'STATE_INVALID',
      'the client state could not be written; free the disk and start the client again',
      { cause: this.#broken },
    );
  }
}
