import { Counter, Gauge } from 'prom-client';
import type { Metrics } from '../../ops/metrics.js';

/** The rotation keeper's metrics, in the registry of the process. */
export class RotationMetrics {
  readonly open: Gauge<'state'>;
  readonly overdue: Gauge;
  readonly closed: Counter<'as'>;
  readonly returned: Counter;
  readonly rounds: Counter<'result'>;

  constructor(metrics: Metrics) {
    const registers = [metrics.registry];
    this.open = new Gauge({
      ...{ name: 'mpe_rotations_open', labelNames: ['state'] as const, registers },
      help: 'Open rotation requests by state',
    });
    this.overdue = new Gauge({
      ...{ name: 'mpe_rotations_overdue', registers },
      help: 'Open rotation requests past their deadline',
    });
    this.closed = new Counter({
      ...{ name: 'mpe_rotations_closed_total', labelNames: ['as'] as const, registers },
      help: 'Rotation requests that this process closed by evidence',
    });
    this.returned = new Counter({
      ...{ name: 'mpe_rotations_returned_total', registers },
      help: 'Exposed keys that were in use again and got a new request',
    });
    this.rounds = new Counter({
      ...{ name: 'mpe_rotation_rounds_total', labelNames: ['result'] as const, registers },
      help: 'Rounds of the rotation keeper: done, failed',
    });
  }
}
