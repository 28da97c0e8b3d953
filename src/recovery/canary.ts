/**
 * The canary: whether what is stored can be read, found out before somebody needs it (design R7).
 *
 * A round looks at things in the order in which one vouches for the next:
 *  1. the site document names a certificate whose key this host has;
 *  2. the sentinel opens: the certificate is right and the database gives back what was stored;
 *  3. every new data key opens;
 *  4. the secrets stored since the last round, and the next ones of a rolling sample, open under
 *     these data keys and are what their identity says.
 *
 * Invariants
 *  I1  Nothing is marked unless 1 and 2 held in the same round, the secret's own data key opens, and
 *      the secret was read and tried twice.
 *  I2  Nothing is marked where too much fails at once (`mark-bound.ts`).
 *  I3  A fault of the database marks nothing and moves nothing: the round is walked again.
 *  I4  No content leaves the check: findings are ids, kinds and codes.
 */
import type { Clock } from '../ops/clock.js';
import type { Logger } from '../ops/log.js';
import type { Guid } from '../protocol/guid.js';
import type { SiteDocument } from '../protocol/site-document.js';
import type { CertificateKeeper } from '../secrets/certificate-keeper.js';
import type { CertificatePublic } from '../secrets/certificate.js';
import type { FingerprintKey } from '../secrets/fingerprint.js';
import type { DataKeyRow } from '../secrets/types.js';
import type { SiteStore } from '../store/site-store.js';
import type { Alarms } from './alarms.js';
import { Breather } from './breather.js';
import type { CanaryMetrics } from './canary-metrics.js';
import { checkSentinel } from './check-sentinel.js';
import { checkSecret } from './check-secret.js';
import type { DataKeyCache } from './data-key-cache.js';
import { DataKeyWatch } from './data-key-watch.js';
import { mayMark } from './mark-bound.js';
import { markSecret, type DamagedSecret } from './mark-secret.js';
import { ownRows, type OwnCertificate } from './own-rows.js';
import { missingWraps, rewrapDataKeys } from './rewrap.js';
import type { SecretWalk } from './secret-walk.js';

/** What a canary works with. */
export interface CanaryOptions {
  readonly store: SiteStore;
  readonly keys: DataKeyCache;
  /** Its certificates may change while the canary runs. */
  readonly keeper: CertificateKeeper;
  /** null where this host does not hold the worker secret. */
  readonly fingerprintKey: FingerprintKey | null;
  /** Reads the site document again and verifies it. */
  readonly readDocument: () => Promise<SiteDocument>;
  readonly walk: SecretWalk;
  readonly sample: number;
  readonly alarms: Alarms;
  readonly metrics: CanaryMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What a round came to. */
export interface RoundReport {
  readonly result: 'fine' | 'alarm';
  readonly opened: number;
  readonly marked: number;
  /** Damaged, and not marked because they were too many. */
  readonly held: number;
  /** Their data key does not open. */
  readonly waiting: number;
  readonly undecryptable: number;
}

type Rows = ReadonlyMap<Guid, DataKeyRow>;

const NOTHING = { opened: 0, marked: 0, held: 0, waiting: 0 };

/** Data keys that appear while a round walks: their rows are read again so often at most. */
const REREADS_A_ROUND = 20;

/** See the top of this file. */
export class Canary {
  readonly #o: CanaryOptions;
  readonly #watch: DataKeyWatch;
  #own: OwnCertificate | null = null;

  constructor(options: CanaryOptions) {
    this.#o = options;
    this.#watch = new DataKeyWatch(options.keys);
  }

  /**
   * One round. Ends early, marking nothing more, where `signal` aborts.
   *
   * @throws MpeError STORE_TRANSIENT, STORE_FAILED: nothing that was found in this round is lost, the
   *   next one walks the same way
   */
  async round(signal: AbortSignal): Promise<RoundReport> {
    const rows = await this.#certificateHolds();
    const counts =
      rows === null
        ? { ...NOTHING, result: 'alarm' as const }
        : await this.#secrets(await this.#dataKeys(rows, signal), signal);
    return { ...counts, undecryptable: await this.#undecryptable() };
  }

  /** Steps 1 and 2. Returns the data keys' rows; null: the certificate proves nothing. */
  async #certificateHolds(): Promise<Rows | null> {
    const { alarms, readDocument } = this.#o;
    const { siteGuid, certificateThumbprint: thumbprint } = await readDocument();
    this.#own = { siteGuid, thumbprint, keeper: this.#o.keeper };
    if (thumbprint === null) return this.#noCertificate();
    const certificate = await this.#find(thumbprint);
    if (certificate === null) return null;
    const { rows, problem } = await checkSentinel({ ...this.#o, certificate, siteGuid });
    if (problem === null) {
      alarms.clear('CERTIFICATE');
      return this.#rewrapped(rows, certificate);
    }
    alarms.raise(
      'CERTIFICATE',
      `the sentinel of certificate ${certificate.thumbprint} ${problem}: nothing is opened or marked. Was this ` +
        'database mixed from two backups, or is its certificate another one?',
    );
    return null;
  }

  /** The certificate that the site document names; after a change its key may have come since the start. */
  async #find(thumbprint: string): Promise<CertificatePublic | null> {
    const { keeper, alarms, log } = this.#o;
    const kept = (): CertificatePublic | undefined =>
      keeper.certificates().find((one) => one.thumbprint === thumbprint);
    let found = kept();
    if (found === undefined) {
      try {
        await keeper.refresh();
      } catch (error) {
        log.error({ event: 'canary.key_folder', error }, 'recovery/ of the key folder cannot be read');
      }
      found = kept();
      if (found !== undefined) log.info({ event: 'canary.certificate_changed', thumbprint });
    }
    if (found !== undefined) return found;
    const here = keeper.certificates().map((one) => one.thumbprint);
    alarms.raise(
      'CERTIFICATE',
      `the site document names the certificate ${thumbprint}, this host has the key of ` +
        `${here.length === 0 ? '(none)' : here.join(', ')}: copy recovery/ of the site's key folder to this host`,
    );
    return null;
  }

  /**
   * After a change of certificate a worker may have made a data key for the former one a moment longer:
   * it gets its wrap for the new one here.
   */
  async #rewrapped(rows: Rows, target: CertificatePublic): Promise<Rows> {
    const { store, keeper, clock, log } = this.#o;
    const own = this.#own;
    if (own === null) return rows;
    const kept = keeper.certificates().map((one) => one.thumbprint);
    if (
      kept.length < 2 ||
      missingWraps([...rows.values()], own.siteGuid, target.thumbprint, kept).length === 0
    )
      return rows;
    const { wrapped, failed } = await rewrapDataKeys({
      store,
      keeper,
      clock,
      target,
      siteGuid: own.siteGuid,
    });
    log.info({ event: 'canary.rewrapped', wrapped, failed: failed.length, thumbprint: target.thumbprint });
    return ownRows(await store.readDataKeys(), own);
  }

  /** A site in plain text: there must be nothing that only a certificate opens. */
  async #noCertificate(): Promise<Rows | null> {
    const { store, alarms } = this.#o;
    if (this.#own === null) return null;
    const rows = ownRows(await store.readDataKeys(), this.#own);
    if (rows.size === 0) {
      alarms.clear('CERTIFICATE');
      return rows;
    }
    alarms.raise('CERTIFICATE', `${rows.size} data keys need a certificate, and this site has none`);
    return null;
  }

  /** Step 3. Returns whether every data key that was tried opens. */
  async #dataKeys(rows: Rows, signal: AbortSignal): Promise<boolean> {
    const { alarms, metrics } = this.#o;
    const { good, failing, pending } = await this.#watch.check(rows, signal);
    metrics.dataKeys.set({ state: 'good' }, good);
    metrics.dataKeys.set({ state: 'failing' }, failing.length);
    metrics.dataKeys.set({ state: 'pending' }, pending);
    if (failing.length === 0) return true;
    const some = failing.slice(0, 3).map(({ dataKeyId, reason }) => `${dataKeyId} (${reason})`);
    alarms.raise(
      'DATA_KEYS',
      `${failing.length} data keys do not open: ${some.join(', ')}. Secrets under them are not marked; restore ` +
        'these rows of MPE_DataKeyWraps from a backup, or bring the certificate that they name',
      { failing: failing.length },
    );
    return false;
  }

  /** Step 4. */
  async #secrets(keysFine: boolean, signal: AbortSignal): Promise<Omit<RoundReport, 'undecryptable'>> {
    const { keys, fingerprintKey, walk, sample, alarms, metrics } = this.#o;
    const breather = new Breather();
    const seen = new Set<string>();
    const damaged: DamagedSecret[] = [];
    let [opened, waiting, rereads] = [0, 0, 0];
    for await (const { pass, secret } of walk.round(sample, signal)) {
      if (signal.aborted) break;
      await breather.pause();
      const name = `${Buffer.from(secret.identity.secretId).toString('hex')}/${secret.generation}`;
      // A new one may be of the sample as well.
      if (secret.damaged || seen.has(name)) continue;
      seen.add(name);
      let finding = await checkSecret(keys, fingerprintKey, secret);
      if (finding.kind === 'waits' && finding.reason === 'DATA_KEY_UNKNOWN' && rereads < REREADS_A_ROUND) {
        rereads += 1;
        await this.#rereadDataKeys();
        finding = await checkSecret(keys, fingerprintKey, secret);
      }
      if (finding.kind === 'waits') {
        waiting += 1;
        continue;
      }
      opened += 1;
      metrics.opened.inc({ pass });
      if (finding.kind === 'ok') continue;
      damaged.push({
        identity: secret.identity,
        generation: secret.generation,
        storedAtMs: secret.storedAtMs,
        reason: finding.reason,
      });
    }
    metrics.waiting.set(waiting);
    if (keysFine && waiting === 0) alarms.clear('DATA_KEYS');
    else if (keysFine)
      alarms.raise('DATA_KEYS', `${waiting} secrets of this round wait for data keys that do not open`);
    const counts = { opened, waiting, marked: 0, held: 0 };
    if (!mayMark(damaged.length, opened)) {
      alarms.raise(
        'MASS_FAILURE',
        `${damaged.length} of ${opened} secrets of this round do not open although their data keys do. So many at once ` +
          'are not marked: look for a mixed database, faulty memory or a writer gone wrong, and see docs/operator.md',
        { damaged: damaged.length, opened },
      );
      return { ...counts, held: damaged.length, result: 'alarm' };
    }
    let marked = 0;
    for (const one of damaged) {
      if (signal.aborted) break;
      if (await markSecret(one, this.#o)) marked += 1;
    }
    if (!signal.aborted) {
      walk.settle();
      metrics.wholePasses.set(walk.wholePasses);
      alarms.clear('MASS_FAILURE');
    }
    return { ...counts, marked, result: keysFine && waiting === 0 ? 'fine' : 'alarm' };
  }

  async #rereadDataKeys(): Promise<void> {
    if (this.#own === null) return;
    this.#o.keys.useRows(ownRows(await this.#o.store.readDataKeys(), this.#own));
  }

  async #undecryptable(): Promise<number> {
    const { store, alarms, metrics } = this.#o;
    const { damagedSecrets } = await store.counts();
    metrics.undecryptable.set(damagedSecrets);
    if (damagedSecrets === 0) alarms.clear('UNDECRYPTABLE');
    else {
      alarms.raise(
        'UNDECRYPTABLE',
        `${damagedSecrets} stored secrets cannot be read; their machines are asked for them again. Keep every backup`,
        { undecryptable: damagedSecrets },
      );
    }
    return damagedSecrets;
  }
}
