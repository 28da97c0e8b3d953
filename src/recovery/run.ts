import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/index.js';
import type { Clock } from '../ops/clock.js';
import { MpeError } from '../ops/errors.js';
import type { ReadyCheck } from '../ops/http.js';
import type { Logger } from '../ops/log.js';
import { Metrics } from '../ops/metrics.js';
import { ExpiryWatch } from '../secrets/expiry-watch.js';
import { checkSite } from '../secrets/site-check.js';
import type { SiteStore } from '../store/site-store.js';
import { Alarms } from './alarms.js';
import { startAudit } from './audit/run-audit.js';
import { CanaryMetrics } from './canary-metrics.js';
import { Canary } from './canary.js';
import { disclosureContext } from './disclosure/context.js';
import type { DisclosureContext } from './disclosure/disclose.js';
import { RecoveryExpiry } from './expiry.js';
import { ringLoop } from './policy/ring-loop.js';
import { IncidentRotations } from './incident/incident-rotations.js';
import { openRecoverySite, type RecoverySite } from './open-site.js';
import { RecoveryReadiness } from './readiness.js';
import { RotationKeeper } from './rotation/keeper.js';
import { RotationMetrics } from './rotation/metrics.js';
import { rotationRounds } from './rotation/rounds.js';
import { SecretWalk } from './secret-walk.js';

/** How the recovery service is started. */
export interface RecoveryOptions {
  readonly config: Config;
  readonly store: SiteStore;
  readonly log: Logger;
  readonly clock: Clock;
}

/** A running recovery service. */
export interface RunningRecovery {
  readonly metrics: Metrics;
  /** For readiness. */
  readonly checks: Readonly<Record<string, ReadyCheck>>;
  /** What shows keys; for the portals and the API. */
  readonly disclosure: DisclosureContext;
  /** Announces the end of the TLS chain (PEM) that the portals show, too. */
  watchTls(chainPem: string): void;
  /** Ends the round under way at its next step and overwrites the open keys. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Checks the site and its certificate, then runs the canary round after round.
 *
 * @throws MpeError CERTIFICATE_UNUSABLE, KEY_FOLDER_INVALID, SITE_MISMATCH, NOT_AUTHENTIC,
 *   STORE_NOT_DURABLE
 */
export async function startRecovery(options: RecoveryOptions): Promise<RunningRecovery> {
  const { config, store, log, clock } = options;
  const { durable, detail } = await store.durability();
  if (!durable)
    throw new MpeError('STORE_NOT_DURABLE', `the site database does not promise durability (${detail})`);
  const site = await openRecoverySite(config.keysDir, store, { log, clock });
  const metrics = new Metrics('recovery');
  const alarms = new Alarms(log);
  const expiry = new RecoveryExpiry(site.keeper, site.document);
  const watch = new ExpiryWatch({ expiring: () => expiry.expiring(), clock, log, metrics });
  const canaryMetrics = new CanaryMetrics(metrics, alarms);
  const canary = new Canary({
    ...{ store, alarms, clock, log, metrics: canaryMetrics },
    keys: site.keys,
    keeper: site.keeper,
    fingerprintKey: site.fingerprintKey,
    readDocument: async () => {
      const { jws } = await store.readSiteDocument();
      const document = await checkSite(site.keyFolder, await store.readSite(), jws);
      expiry.useDocument(document);
      return document;
    },
    walk: new SecretWalk(store),
    sample: config.recovery.canarySample,
  });
  const rotationMetrics = new RotationMetrics(metrics);
  const { rotationDeadlineMs: deadlineMs, rotationMs: everyMs } = config.recovery;
  const keeper = new RotationKeeper({
    ...{ store: store.rotation, clock, log, alarms, deadlineMs },
    metrics: rotationMetrics,
  });
  const incidents = new IncidentRotations({ store, clock, log, rotationDeadlineMs: deadlineMs });
  const readiness = new RecoveryReadiness(alarms, config.recovery.canaryMs, site);
  const audit = startAudit({
    ...{ settings: config.audit, keysDir: config.keysDir, siteGuid: site.document.siteGuid },
    ...{ store: store.disclosure, metrics, clock, log },
  });
  logStart(options, site);

  const closing = new AbortController();
  const loop = Promise.all([
    rounds(canary, readiness, canaryMetrics, options, closing.signal),
    rotationRounds(keeper, rotationMetrics, { everyMs, log, incidents }, closing.signal),
    ringLoop({ store, clock, log, by: `recovery ${process.pid}` }, closing.signal),
  ]);
  let closed: Promise<void> | null = null;
  return {
    metrics,
    disclosure: disclosureContext(config, site, { store, clock, log, onRow: () => audit.wake() }),
    watchTls: (chainPem) => {
      expiry.useTls(chainPem);
      watch.look();
    },
    checks: { ...readiness.checks, store: () => store.probeWrite(`recovery ${process.pid}`) },
    close: () => {
      closing.abort();
      watch.close();
      closed ??= Promise.all([loop, audit.close()]).then(() => {
        site.keys.close();
        metrics.close();
      });
      return closed;
    },
  };
}

function logStart({ config, store, log }: RecoveryOptions, site: RecoverySite): void {
  log.info({
    event: 'recovery.started',
    siteGuid: site.document.siteGuid,
    siteDocument: site.document.version,
    certificateThumbprint: site.certificate?.thumbprint ?? null,
    fingerprints: site.fingerprintKey !== null,
    store: store.dialect,
    canaryMs: config.recovery.canaryMs,
    canarySample: config.recovery.canarySample,
  });
}

/** One round after the other until closing; no fault of a round ends the loop. */
async function rounds(
  canary: Canary,
  readiness: RecoveryReadiness,
  metrics: CanaryMetrics,
  { config, log }: RecoveryOptions,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const startedAt = performance.now();
    try {
      const report = await canary.round(signal);
      if (ending(signal)) return;
      const tookMs = Math.round(performance.now() - startedAt);
      metrics.rounds.inc({ result: report.result });
      metrics.roundSeconds.set(tookMs / 1000);
      if (report.result === 'fine') metrics.lastFine.setToCurrentTime();
      if (readiness.roundEnded(report)) log.info({ event: 'recovery.ready' });
      log[report.result === 'fine' ? 'info' : 'warn']({ event: 'canary.round', ...report, tookMs });
    } catch (error) {
      metrics.rounds.inc({ result: 'failed' });
      readiness.roundFailed(error);
      log.error(
        { event: 'canary.round_failed', error },
        'a round did not come to its end; nothing was marked by it',
      );
    }
    const leftMs = config.recovery.canaryMs - (performance.now() - startedAt);
    await sleep(Math.max(0, leftMs), undefined, { signal }).catch(() => undefined);
  }
}

/** Whether the process is going down; changes while one waits. */
function ending(signal: AbortSignal): boolean {
  return signal.aborted;
}
