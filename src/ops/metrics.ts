import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { LoopDelayWatch } from './loop-delay.js';
import { VERSION } from './version.js';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const BYTES = [256, 1024, 4096, 16_384, 65_536, 131_072];

/** Messages read from Redis or the process at each scrape; see {@link Metrics.onScrape}. */
type Collect = () => Promise<void> | void;

/**
 * The metrics of one process, all of them in one registry. Base units; no label has unbounded
 * values (never a message id, a client id, a kid). A process that does not use a metric leaves it
 * at nothing.
 */
export class Metrics {
  readonly registry = new Registry();
  readonly #collects: Collect[] = [];
  readonly #loopDelay = new LoopDelayWatch();

  readonly ingestRequests = this.#counter('ingest_requests_total', 'HTTP requests answered', [
    'route',
    'code',
  ]);
  readonly ingestDuration = this.#histogram('ingest_request_duration_seconds', 'Time to answer', ['route']);
  readonly ingestBodyBytes = this.#histogram('ingest_body_bytes', 'Size of request bodies', [], BYTES);
  readonly ingestInFlight = this.#gauge('ingest_in_flight', 'Requests being answered', []);

  readonly queueJobs = this.#gauge('queue_jobs', 'Jobs by state', ['state']);
  readonly queueOldest = this.#gauge('queue_oldest_waiting_seconds', 'Age of the oldest waiting job', []);
  readonly redisMemoryRatio = this.#gauge('redis_used_memory_ratio', 'used_memory / maxmemory of Redis', []);

  readonly processed = this.#counter('messages_processed_total', 'Messages by type and outcome', [
    'type',
    'outcome',
  ]);
  readonly stageDuration = this.#histogram('processing_duration_seconds', 'Time in a stage', ['stage']);
  readonly groupSize = this.#histogram(
    'commit_group_messages',
    'Messages a transaction committed',
    [],
    [1, 2, 4, 8, 16, 32, 64, 128, 256],
  );
  readonly decryptFailures = this.#counter('decrypt_failures_total', 'What did not open', ['reason']);
  readonly duplicates = this.#counter('duplicates_total', 'Messages that were committed before', []);
  readonly sqlRetries = this.#counter('sql_retries_total', 'Transactions tried again', ['number']);
  readonly deadLetters = this.#counter('dead_letters_total', 'Messages given up', ['reason']);
  readonly quarantined = this.#counter('quarantined_total', 'Messages put in quarantine', ['reason']);
  /** Absent from a process that does not know when it is. */
  readonly expires = {
    site_document: this.#expires('site_document', 'the site document, with its sealing and token keys,'),
    certificate: this.#expires('certificate', 'the BitLocker management encryption certificate'),
    gateway_tls: this.#expires('gateway_tls', "the gateway's TLS certificate"),
    recovery_tls: this.#expires('recovery_tls', "the recovery service's TLS certificate"),
  };
  readonly dataKeys = this.#counter('data_keys_made_total', 'Data keys made', []);

  /**
   * @param processName - label of `mpe_build_info`: gateway, worker
   * @param defaults - also the `process_*` and `nodejs_*` metrics of the runtime
   */
  constructor(processName: string, { defaults = true }: { readonly defaults?: boolean } = {}) {
    this.#gauge('build_info', 'Always 1; the labels are the news', ['version', 'node', 'process']).set(
      { version: VERSION, node: process.version, process: processName },
      1,
    );
    const delay = this.#gauge('event_loop_delay_seconds', 'Event loop delay over the last two scrapes', [
      'quantile',
    ]);
    this.onScrape(() => {
      const { p50, p99, max } = this.#loopDelay.read();
      delay.set({ quantile: '0.5' }, p50);
      delay.set({ quantile: '0.99' }, p99);
      delay.set({ quantile: '1' }, max);
    });
    if (defaults) collectDefaultMetrics({ register: this.registry });
  }

  /** Calls `collect` before each scrape; one that throws leaves its metrics as they were. */
  onScrape(collect: Collect): void {
    this.#collects.push(collect);
  }

  /** The text of GET /metrics and its content type. */
  async scrape(): Promise<{ readonly contentType: string; readonly text: string }> {
    await Promise.allSettled(this.#collects.map(async (collect) => collect()));
    return { contentType: this.registry.contentType, text: await this.registry.metrics() };
  }

  /** Stops what measures in the background. */
  close(): void {
    this.#loopDelay.close();
    this.registry.clear();
  }

  /** With the quiet registration of a gauge without labels, which would say 0: expired. */
  #expires(name: string, what: string): Gauge<never> {
    const gauge: Gauge<never> = this.#gauge(
      `${name}_expires_seconds`,
      `Time until ${what} expires; below 0 since`,
      [],
    );
    gauge.remove();
    return gauge;
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({
      name: `mpe_${name}`,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
    });
  }

  #gauge<L extends string>(name: string, help: string, labelNames: readonly L[]): Gauge<L> {
    return new Gauge({ name: `mpe_${name}`, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  #histogram<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    buckets: readonly number[] = SECONDS,
  ): Histogram<L> {
    return new Histogram({
      name: `mpe_${name}`,
      help,
      labelNames: [...labelNames],
      buckets: [...buckets],
      registers: [this.registry],
    });
  }
}
