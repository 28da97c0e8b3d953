import { Counter, Gauge } from 'prom-client';
import type { Metrics } from '../../ops/metrics.js';

/** Metrics of disclosure and audit, in the registry of the process. */
export class AuditMetrics {
  readonly behind: Gauge<'sink'>;
  readonly sent: Counter<'sink'>;
  readonly failures: Counter<'sink'>;
  readonly dropped: Counter<'sink'>;
  readonly checkpoint: Gauge;
  readonly checkpointFailures: Counter;

  constructor(metrics: Metrics) {
    const registers = [metrics.registry];
    const sink = { labelNames: ['sink'] as const, registers };
    this.behind = new Gauge({
      ...{ name: 'mpe_audit_sink_behind_rows', ...sink },
      help: 'Audit rows that a sink has not taken yet',
    });
    this.sent = new Counter({
      ...{ name: 'mpe_audit_sink_sent_total', ...sink },
      help: 'Audit rows that a sink took; after a lost connection some count twice',
    });
    this.failures = new Counter({
      ...{ name: 'mpe_audit_sink_failures_total', ...sink },
      help: 'Batches that a sink did not take; they are sent again',
    });
    this.dropped = new Counter({
      ...{ name: 'mpe_audit_sink_dropped_total', ...sink },
      help: 'Audit rows that a sink refused for good; they stay in the audit',
    });
    this.checkpoint = new Gauge({
      ...{ name: 'mpe_audit_checkpoint_timestamp_seconds', registers },
      help: 'When the last checkpoint was signed, or nothing new was found',
    });
    this.checkpointFailures = new Counter({
      ...{ name: 'mpe_audit_checkpoint_failures_total', registers },
      help: 'Checkpoints that were not made: the chain is broken, or the file cannot be written',
    });
  }
}
