import { Counter, Gauge } from 'prom-client';
import type { Metrics } from '../ops/metrics.js';
import { ALARMS, isRotationAlarm, type Alarms } from './alarms.js';

/** The canary's metrics, in the registry of the process. */
export class CanaryMetrics {
  readonly undecryptable: Gauge;
  readonly rounds: Counter<'result'>;
  readonly opened: Counter<'pass'>;
  readonly marked: Counter<'reason'>;
  readonly waiting: Gauge;
  readonly dataKeys: Gauge<'state'>;
  readonly roundSeconds: Gauge;
  readonly lastFine: Gauge;
  readonly wholePasses: Gauge;

  constructor(metrics: Metrics, alarms: Alarms) {
    const registers = [metrics.registry];
    this.undecryptable = new Gauge({
      ...{ name: 'mpe_undecryptable_secrets', registers },
      help: 'Stored secrets of which no generation can be read',
    });
    this.rounds = new Counter({
      ...{ name: 'mpe_canary_rounds_total', labelNames: ['result'] as const, registers },
      help: 'Rounds: fine, alarm, failed (the database did not answer)',
    });
    this.opened = new Counter({
      ...{ name: 'mpe_canary_opened_total', labelNames: ['pass'] as const, registers },
      help: 'Secrets opened and compared, new ones and the rolling sample',
    });
    this.marked = new Counter({
      ...{ name: 'mpe_canary_marked_total', labelNames: ['reason'] as const, registers },
      help: 'Secrets marked damaged, to be asked for again',
    });
    this.waiting = new Gauge({
      ...{ name: 'mpe_canary_waiting_secrets', registers },
      help: 'Secrets of the last round whose data key does not open',
    });
    this.dataKeys = new Gauge({
      ...{ name: 'mpe_canary_data_keys', labelNames: ['state'] as const, registers },
      help: 'Data keys: good, failing, pending',
    });
    this.roundSeconds = new Gauge({
      ...{ name: 'mpe_canary_round_seconds', registers },
      help: 'Time that the last round took',
    });
    this.lastFine = new Gauge({
      ...{ name: 'mpe_canary_last_fine_round_timestamp_seconds', registers },
      help: 'End of the last round without an alarm, in real time',
    });
    this.wholePasses = new Gauge({
      ...{ name: 'mpe_canary_whole_passes', registers },
      help: 'Passes of the rolling sample through all secrets since the start',
    });
    const raised = new Gauge({
      ...{ name: 'mpe_canary_alarm', labelNames: ['alarm'] as const, registers },
      help: '1 while the alarm is raised',
    });
    metrics.onScrape(() => {
      for (const alarm of ALARMS.filter((one) => !isRotationAlarm(one)))
        raised.set({ alarm }, alarms.detail(alarm) === null ? 0 : 1);
    });
  }
}
