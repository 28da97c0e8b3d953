/**
 * Sends the audit elsewhere. It follows the database by sequence and keeps its place there, so that
 * nothing is lost whatever fails, and nothing waits for it: no disclosure knows that there is a sink.
 *
 *  * Bounded: one batch in memory, the rest stays in the database.
 *  * At least once: a row may come twice, with the same sequence and hash.
 *  * What a receiver refuses for good is counted as dropped and named in the log; it stays in the audit.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../ops/clock.js';
import { isMpeError } from '../../ops/errors.js';
import type { Logger } from '../../ops/log.js';
import type { AuditRow, DisclosureStore } from '../../store/disclosure-store.js';
import type { AuditMetrics } from './audit-metrics.js';
import type { SinkTarget } from './sink-target.js';

/** What a sink works with. */
export interface SinkOptions {
  readonly store: Pick<DisclosureStore, 'auditAfter' | 'auditHead' | 'readSink' | 'saveSink'>;
  readonly target: SinkTarget;
  readonly metrics: AuditMetrics;
  readonly clock: Clock;
  readonly log: Logger;
  /** How often it looks without being woken. */
  readonly lookEveryMs?: number;
  /** The first pause after a failure; it doubles to a minute. */
  readonly retryMs?: number;
}

const BATCH = 200;
const LOOK_EVERY_MS = 5_000;
const RETRY_MS = 1_000;
const RETRY_MOST_MS = 60_000;

/** See the top of this file. */
export class AuditSink {
  readonly #o: SinkOptions;
  readonly #end = new AbortController();
  #wake: (() => void) | null = null;
  #place: bigint | null = null;
  #lost = false;

  constructor(options: SinkOptions) {
    this.#o = options;
  }

  /** Says that there is a new row. */
  wake(): void {
    this.#wake?.();
  }

  /** Sends until {@link close}; no fault ends it. */
  async run(): Promise<void> {
    const { target, metrics, log } = this.#o;
    const signal = this.#end.signal;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const more = await this.#round(signal);
        if (failures > 0) log.info({ event: 'audit.sink_back', sink: target.id, failures });
        failures = 0;
        if (!more) await this.#pause(this.#o.lookEveryMs ?? LOOK_EVERY_MS);
      } catch (error) {
        if (ending(signal)) return;
        failures += 1;
        this.#lost = true;
        metrics.failures.inc({ sink: target.kind });
        // The first time, then at 2, 4, 8 … failures: an outage of days is some lines.
        if ((failures & (failures - 1)) === 0)
          log.error(
            { event: 'audit.sink_failed', sink: target.id, failures, error },
            'audit rows wait for a sink',
          );
        const most = Math.min(RETRY_MOST_MS, (this.#o.retryMs ?? RETRY_MS) * 2 ** Math.min(failures - 1, 10));
        await sleep(most * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
        if (!isMpeError(error)) this.#place = null;
      }
    }
  }

  /** Ends {@link run}; what was not sent is sent after the next start. */
  close(): void {
    this.#end.abort();
    this.#wake?.();
    this.#o.target.close();
  }

  /** Sends one batch. @returns whether there is more */
  async #round(signal: AbortSignal): Promise<boolean> {
    const { store, target, metrics, clock } = this.#o;
    // After a loss the place is read again: another process may have gone on, and what nobody
    // acknowledged is sent anew.
    if (target.lost()) {
      this.#lost = true;
      target.close();
    }
    if (this.#place === null || this.#lost) {
      const kept = await store.readSink(target.id);
      const again = kept - BigInt(this.#lost ? target.overlap() : 0);
      this.#place = again < 0n ? 0n : again;
    }
    const rows = await store.auditAfter(this.#place, BATCH);
    const head = await store.auditHead();
    metrics.behind.set({ sink: target.kind }, Number(head.sequence - this.#place));
    if (rows.length === 0) {
      this.#lost = false;
      return false;
    }
    await this.#deliver(rows, signal);
    this.#lost = false;
    const last = rows.at(-1)?.sequence ?? this.#place;
    await store.saveSink(target.id, last, clock.now());
    this.#place = last;
    metrics.behind.set({ sink: target.kind }, Math.max(0, Number(head.sequence - last)));
    return rows.length === BATCH;
  }

  /** Rows that are refused together are sent one by one, so that one bad row drops no other. */
  async #deliver(rows: readonly AuditRow[], signal: AbortSignal): Promise<void> {
    const { target, metrics, log } = this.#o;
    const sent = await target.send(rows, signal);
    if (sent.kind === 'taken') {
      metrics.sent.inc({ sink: target.kind }, rows.length);
      return;
    }
    const [only] = rows;
    if (rows.length > 1) {
      for (const row of rows) await this.#deliver([row], signal);
    } else if (only !== undefined) {
      metrics.dropped.inc({ sink: target.kind });
      const sequence = only.sequence.toString();
      log.error(
        { event: 'audit.sink_dropped', sink: target.id, sequence, detail: sent.detail },
        'a sink refuses an audit row for good; the row stays in the audit',
      );
    }
  }

  /** Waits for a row, a time, or the end. */
  async #pause(ms: number): Promise<void> {
    const wait = new AbortController();
    this.#wake = () => wait.abort();
    if (!this.#end.signal.aborted) await sleep(ms, undefined, { signal: wait.signal }).catch(() => undefined);
    this.#wake = null;
  }
}

/** Whether the sink is to end; changes while one waits. */
function ending(signal: AbortSignal): boolean {
  return signal.aborted;
}
