import type { Clock } from '../ops/clock.js';
import type { Logger } from '../ops/log.js';
import type { Metrics } from '../ops/metrics.js';
import type { SiteDocument } from '../protocol/site-document.js';

const DAY_MS = 86_400_000;
const LOOK_EVERY_MS = 600_000;

/** From so many days before on, expiry is announced. */
const NOTICE_DAYS = [1, 7, 30] as const;

/** What is to be said of a document's expiry. */
export interface ExpiryNotice {
  /** The nearest of 30, 7 and 1 days; 0 where it has expired. */
  readonly withinDays: 30 | 7 | 1 | 0;
  readonly text: string;
}

/** The notice that is due; null more than 30 days before. Expiry itself only warns, everywhere. */
export function expiryNotice(expiresAtMs: number, nowMs: number): ExpiryNotice | null {
  const leftMs = expiresAtMs - nowMs;
  const renew = 'renew it: mpe site publish';
  if (leftMs <= 0)
    return { withinDays: 0, text: `the site document has expired; clients still use it; ${renew}` };
  const withinDays = NOTICE_DAYS.find((days) => leftMs <= days * DAY_MS);
  if (withinDays === undefined) return null;
  const days = Math.ceil(leftMs / DAY_MS);
  return {
    withinDays,
    text: `the site document expires within ${days === 1 ? 'a day' : `${days} days`}; ${renew}`,
  };
}

/**
 * Announces the expiry of the site document: one line of the log a day from 30 days before on, and at
 * once where a nearer threshold is passed; the metric always.
 */
export class ExpiryWatch {
  readonly #timer: NodeJS.Timeout;
  readonly #look: () => void;
  #said: { readonly day: number; readonly withinDays: number; readonly version: number } | null = null;

  constructor(options: {
    readonly document: () => SiteDocument;
    readonly clock: Clock;
    readonly log: Logger;
    readonly metrics: Metrics;
    readonly lookEveryMs?: number;
  }) {
    const { document, clock, log, metrics } = options;
    metrics.onScrape(() => {
      metrics.siteDocumentExpires.set((document().expiresAtMs - clock.now()) / 1000);
    });
    this.#look = () => {
      const { expiresAtMs, version } = document();
      const nowMs = clock.now();
      const notice = expiryNotice(expiresAtMs, nowMs);
      if (notice === null) return;
      const day = Math.floor(nowMs / DAY_MS);
      const { withinDays, text } = notice;
      const said = this.#said;
      if (said?.day === day && said.withinDays === withinDays && said.version === version) return;
      this.#said = { day, withinDays, version };
      const line = { event: 'site_document.expires', version, expiresAt: new Date(expiresAtMs), withinDays };
      if (withinDays <= 1) log.error(line, text);
      else log.warn(line, text);
    };
    this.#look();
    this.#timer = setInterval(this.#look, options.lookEveryMs ?? LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Says nothing more. */
  close(): void {
    clearInterval(this.#timer);
  }
}
