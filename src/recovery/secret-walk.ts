import { randomBytes } from 'node:crypto';
import type { SecretPosition, SiteStore, StoredSecret } from '../store/site-store.js';

/** New secrets that one round opens at most: a burst is worked off over the next rounds. */
const NEW_A_ROUND = 10_000;
/** Secrets read at a time: bounds memory (a package has up to 16 KiB) and the time of one statement. */
const PAGE = 100;
/** New secrets that the first round of a process goes back to. */
const FIRST_PAGE = 1000;

/** Why a secret was visited. */
export type Pass = 'new' | 'sample';

/** Where a walk stands. */
interface Stand {
  readonly newPlace: string | null;
  readonly sample: SecretPosition | null;
  /** The pass under way began with the first secret. */
  readonly whole: boolean;
}

/**
 * The way through the stored secrets, round by round: first those stored since the last round, then
 * the next ones in order of id, and from the beginning again after the last.
 *
 * Where a round stands becomes final with {@link settle} alone, so that a round that was broken off is
 * walked again. The place is kept in memory: a process begins anywhere in the order (ids are hashes),
 * so that one that is restarted often still comes by everything.
 */
export class SecretWalk {
  readonly #store: Pick<SiteStore, 'secretsPage' | 'secretsStoredAfter'>;
  #stand: Stand;
  #next: Stand;
  #wholePasses = 0;
  /** A pass that began with the first secret came to the last one in this round. */
  #ended = false;

  /** @param from - where the rolling sample begins; anywhere unless given */
  constructor(store: Pick<SiteStore, 'secretsPage' | 'secretsStoredAfter'>, from?: SecretPosition | null) {
    this.#store = store;
    const sample = from === undefined ? { secretId: randomBytes(32), generation: 0 } : from;
    this.#stand = { newPlace: null, sample, whole: sample === null };
    this.#next = this.#stand;
  }

  /** Passes from the first secret to the last. */
  get wholePasses(): number {
    return this.#wholePasses;
  }

  /** The secrets of the next round, page by page. */
  async *round(
    sample: number,
    signal: AbortSignal,
  ): AsyncGenerator<{ readonly pass: Pass; readonly secret: StoredSecret }> {
    this.#next = this.#stand;
    for await (const secret of this.#newOnes(signal)) yield { pass: 'new', secret };
    for await (const secret of this.#sampled(sample, signal)) yield { pass: 'sample', secret };
  }

  /** The round was walked to its end and its findings are kept: the next one goes on from there. */
  settle(): void {
    if (this.#ended) this.#wholePasses += 1;
    this.#ended = false;
    this.#stand = this.#next;
  }

  async *#newOnes(signal: AbortSignal): AsyncGenerator<StoredSecret> {
    for (let read = 0; read < NEW_A_ROUND && !signal.aborted;) {
      const { newPlace } = this.#next;
      const asked = newPlace === null ? FIRST_PAGE : PAGE;
      const { secrets, place } = await this.#store.secretsStoredAfter(newPlace, asked);
      yield* secrets;
      read += secrets.length;
      this.#next = { ...this.#next, newPlace: place };
      if (secrets.length < asked || newPlace === null) return;
    }
  }

  async *#sampled(wanted: number, signal: AbortSignal): AsyncGenerator<StoredSecret> {
    this.#ended = false;
    const start = this.#next.sample;
    let wrapped = false;
    for (let read = 0; read < wanted && !signal.aborted;) {
      const asked = Math.min(PAGE, wanted - read);
      const page = await this.#store.secretsPage(this.#next.sample, asked);
      for (const secret of page) {
        const position = { secretId: secret.identity.secretId, generation: secret.generation };
        // Once around: there are fewer secrets than a sample has.
        if (wrapped && start !== null && isAfter(position, start)) return;
        this.#next = { ...this.#next, sample: position };
        yield secret;
      }
      read += page.length;
      if (page.length === asked) continue;
      this.#ended ||= this.#next.whole;
      this.#next = { ...this.#next, sample: null, whole: true };
      if (wrapped || start === null) return;
      wrapped = true;
    }
  }
}

function isAfter(a: SecretPosition, b: SecretPosition): boolean {
  const order = Buffer.compare(a.secretId, b.secretId);
  return order > 0 || (order === 0 && a.generation > b.generation);
}
