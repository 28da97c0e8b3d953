import { isMpeError } from '../ops/errors.js';
import type { ReadyCheck } from '../ops/http.js';
import type { Alarms } from './alarms.js';
import type { RoundReport } from './canary.js';

/** Rounds that may be late or fail before the service is not ready any more. */
const ROUNDS_MISSED = 3;
/** For a round's own time. */
const MARGIN_MS = 10_000;

/**
 * What readiness of the recovery service says:
 *  * `certificate`: it opens the sentinel and is the one that the site document names;
 *  * `canary`: the last rounds came to their end and found nothing that needs people;
 *  * `secrets`: how many cannot be read. Some being damaged is an alarm, and no reason to take away
 *    the service that shows all others: it stays ready and says so.
 */
export class RecoveryReadiness {
  readonly #alarms: Alarms;
  readonly #everyMs: number;
  readonly #certificateText: string;
  #lastEnded: number | null = null;
  #lastError: string | null = null;
  #wasFine = false;

  /** @param site - whether it has a certificate, and consented to plain text */
  constructor(
    alarms: Alarms,
    everyMs: number,
    site: { readonly certificate: object | null; readonly document: { readonly plaintextConsent: boolean } },
  ) {
    this.#alarms = alarms;
    this.#everyMs = everyMs;
    const without = site.document.plaintextConsent
      ? 'none: this site stores plain text by consent'
      : 'none, and no consent to plain text: no secret can be stored';
    this.#certificateText = site.certificate === null ? without : 'ok';
  }

  /** Returns whether this was the first round that was fine. */
  roundEnded(report: RoundReport): boolean {
    this.#lastEnded = performance.now();
    this.#lastError = null;
    const first = !this.#wasFine && report.result === 'fine';
    this.#wasFine ||= first;
    return first;
  }

  /** A round broke off. */
  roundFailed(error: unknown): void {
    this.#lastError = isMpeError(error) ? error.code : 'INTERNAL';
  }

  readonly checks: Readonly<Record<string, ReadyCheck>> = {
    certificate: () => {
      this.#refuse('CERTIFICATE');
      return Promise.resolve(this.#certificateText);
    },
    canary: () => {
      this.#refuse('DATA_KEYS');
      this.#refuse('MASS_FAILURE');
      const why = this.#lastError === null ? '' : `; the last one broke off with ${this.#lastError}`;
      if (this.#lastEnded === null) throw new Error(`no round has come to its end yet${why}`);
      const ageMs = performance.now() - this.#lastEnded;
      if (ageMs > ROUNDS_MISSED * this.#everyMs + MARGIN_MS)
        throw new Error(`the last whole round ended ${Math.round(ageMs / 1000)} s ago${why}`);
      return Promise.resolve('ok');
    },
    secrets: () => Promise.resolve(this.#alarms.detail('UNDECRYPTABLE') ?? 'ok'),
  };

  #refuse(alarm: 'CERTIFICATE' | 'DATA_KEYS' | 'MASS_FAILURE'): void {
    const detail = this.#alarms.detail(alarm);
    if (detail !== null) throw new Error(detail);
  }
}
