import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditSettings } from '../../config/index.js';
import type { Clock } from '../../ops/clock.js';
import { isMpeError } from '../../ops/errors.js';
import type { Logger } from '../../ops/log.js';
import type { Metrics } from '../../ops/metrics.js';
import type { Guid } from '../../protocol/guid.js';
import type { DisclosureStore } from '../../store/disclosure-store.js';
import { holdsAuditKey, readAuditKey } from './audit-key.js';
import { AuditMetrics } from './audit-metrics.js';
import { HttpsTarget } from './https-target.js';
import { makeCheckpoint } from './make-checkpoint.js';
import { AuditSink } from './sink.js';
import type { SinkTarget } from './sink-target.js';
import { SyslogTarget } from './syslog-target.js';

/** What runs beside the recovery service for its audit. */
export interface AuditService {
  /** Says that a row was written. */
  wake(): void;
  /** Ends sinks and checkpoints. Safe to call twice. */
  close(): Promise<void>;
}

/** How it is started. */
export interface AuditServiceOptions {
  readonly settings: AuditSettings;
  readonly keysDir: string;
  readonly siteGuid: Guid;
  readonly store: DisclosureStore;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Starts the sinks and the making of checkpoints. Neither ever holds up a disclosure. */
export function startAudit(options: AuditServiceOptions): AuditService {
  const { settings, store, clock, log } = options;
  const metrics = new AuditMetrics(options.metrics);
  const targets: SinkTarget[] = [
    ...(settings.syslog === null ? [] : [new SyslogTarget(settings.syslog)]),
    ...(settings.https === null ? [] : [new HttpsTarget(settings.https)]),
  ];
  const sinks = targets.map((target) => new AuditSink({ store, target, metrics, clock, log }));
  const end = new AbortController();
  const running = [...sinks.map((sink) => sink.run()), checkpoints(options, metrics, end.signal)];
  log.info({
    event: 'audit.started',
    sinks: targets.map(({ id }) => id),
    checkpoints: settings.checkpoints.path,
  });
  return {
    wake: () => {
      for (const sink of sinks) sink.wake();
    },
    close: async () => {
      end.abort();
      for (const sink of sinks) sink.close();
      await Promise.all(running);
    },
  };
}

async function checkpoints(
  { settings, keysDir, siteGuid, store, clock, log }: AuditServiceOptions,
  metrics: AuditMetrics,
  signal: AbortSignal,
): Promise<void> {
  const { path, everyMs } = settings.checkpoints;
  if (!holdsAuditKey(keysDir)) {
    log.warn(
      { event: 'audit.no_checkpoint_key' },
      'the key folder holds no audit key, so no checkpoint is signed and a chain that was rewritten cannot be told: mpe audit key --create',
    );
    return;
  }
  const key = readAuditKey(keysDir);
  while (!signal.aborted) {
    try {
      const made = await makeCheckpoint({ store, siteGuid, key, path, clock, always: false });
      metrics.checkpoint.setToCurrentTime();
      if (made !== null)
        log.info({
          event: 'audit.checkpoint',
          sequence: made.sequence.toString(),
          hash: made.hash,
          file: path,
        });
    } catch (error) {
      metrics.checkpointFailures.inc();
      const broken = isMpeError(error, 'AUDIT_BROKEN');
      log.error(
        { event: broken ? 'audit.broken' : 'audit.checkpoint_failed', error },
        'no checkpoint was made',
      );
    }
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
  }
}
