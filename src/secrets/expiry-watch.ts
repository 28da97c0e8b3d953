import type { Clock } from '../ops/clock.js';
import type { Logger } from '../ops/log.js';
import type { Metrics } from '../ops/metrics.js';
import { expiryNotice, type Expiring } from './expiring.js';

const LOOK_EVERY_MS = 600_000;

/**
 * Announces what comes to an end, 30, 7 and 1 days before and when it has: one line of the log for each
 * of the four, once a process and again only for what was renewed; the metrics always.
 */
export class ExpiryWatch {
  readonly #options: {
    readonly expiring: () => readonly Expiring[];
    readonly clock: Clock;
    readonly log: Logger;
    readonly metrics: Metrics;
  };
  readonly #timer: NodeJS.Timeout;
  readonly #said = new Set<string>();
  #unread = false;

  /** `expiring`: what this process knows of, asked at each look, so that what is renewed is seen. */
  constructor(options: {
    readonly expiring: () => readonly Expiring[];
    readonly clock: Clock;
    readonly log: Logger;
    readonly metrics: Metrics;
  }) {
    this.#options = options;
    const { clock, metrics } = options;
    metrics.onScrape(() => {
      for (const { thing, expiresAtMs } of options.expiring())
        metrics.expires[thing].set((expiresAtMs - clock.now()) / 1000);
    });
    this.look();
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Says what is due and was not said. Never throws. */
  look(): void {
    const { expiring, clock, log } = this.#options;
    try {
      for (const one of expiring()) {
        const notice = expiryNotice(one, clock.now());
        if (notice === null) continue;
        const { withinDays, text } = notice;
        const key = `${one.thing} ${one.id} ${withinDays}`;
        if (this.#said.has(key)) continue;
        this.#said.add(key);
        const { thing, id, expiresAtMs } = one;
        const line = { event: `${thing}.expires`, id, expiresAt: new Date(expiresAtMs), withinDays };
        if (withinDays <= 1) log.error(line, text);
        else log.warn(line, text);
      }
      this.#unread = false;
    } catch (error) {
      if (!this.#unread) log.error({ event: 'expiry.unread', error }, 'when it ends cannot be read');
      this.#unread = true;
    }
  }

  /** Says nothing more. */
  close(): void {
    clearInterval(this.#timer);
  }
}
