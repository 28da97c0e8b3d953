import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../src/ops/clock.js';
import { Metrics } from '../../src/ops/metrics.js';
import { newGuid, NIL_GUID, type Guid } from '../../src/protocol/guid.js';
import { parseRecoveryPassword } from '../../src/protocol/recovery-password.js';
import { Alarms } from '../../src/recovery/alarms.js';
import { CanaryMetrics } from '../../src/recovery/canary-metrics.js';
import { Canary, type CanaryOptions, type RoundReport } from '../../src/recovery/canary.js';
import { openRecoverySite } from '../../src/recovery/open-site.js';
import { RecoveryReadiness } from '../../src/recovery/readiness.js';
import { SecretWalk } from '../../src/recovery/secret-walk.js';
import { DataKeyRing } from '../../src/secrets/data-key-ring.js';
import type { FingerprintKey } from '../../src/secrets/fingerprint.js';
import { identify } from '../../src/secrets/secret-identity.js';
import { checkSite } from '../../src/secrets/site-check.js';
import { openFingerprintKey } from '../../src/secrets/site-keys.js';
import type { SecretIdentity, SecretKind } from '../../src/secrets/types.js';
import type { SecretWrite, SiteStore } from '../../src/store/site-store.js';
import { password, TestSite, type SiteChanges, type TestClient } from '../workers/support.js';

/** A site with a real database, written as a worker writes, and damaged as a DBA with the file could. */
export class Vault {
  readonly site: TestSite;
  readonly keysDir: string;
  readonly client: TestClient;
  readonly fingerprintKey: FingerprintKey;
  ring: DataKeyRing | null;
  #sequence = 0n;

  private constructor(site: TestSite, client: TestClient, fingerprintKey: FingerprintKey) {
    this.site = site;
    this.keysDir = join(site.folder, 'keys');
    this.client = client;
    this.fingerprintKey = fingerprintKey;
    this.ring = this.newRing();
  }

  static async create(changes: SiteChanges = {}): Promise<Vault> {
    const site = await TestSite.create(changes);
    onTestFinished(() => site.store.close());
    const key = await openFingerprintKey(
      await site.store.readFingerprintKey(),
      site.keyFolder.workerSecret(),
    );
    return new Vault(site, await site.client(), key);
  }

  get store(): SiteStore {
    return this.site.store;
  }

  /** As a worker that starts: its next secret makes a data key. */
  newRing(siteGuid = this.site.siteGuid): DataKeyRing | null {
    const certificate = this.site.keyFolder.certificate();
    if (certificate === null) return null;
    const persist: SiteStore['insertDataKey'] = (row) => this.store.insertDataKey(row);
    return new DataKeyRing({ siteGuid, certificate, persist, clock: systemClock(), by: 'test' });
  }

  identity(kind: SecretKind, value: Uint8Array, keyId = newGuid(), volumeId = newGuid()): SecretIdentity {
    return kind === 'TPM_OWNER_AUTH'
      ? identify(this.fingerprintKey, kind, this.client.clientId, NIL_GUID, value)
      : identify(this.fingerprintKey, kind, keyId, volumeId, value);
  }

  /** @param value what the identity is taken over, where it is not what is encrypted */
  async sealed(
    kind: SecretKind,
    plaintext: Uint8Array,
    value = plaintext,
    ids: readonly Guid[] = [],
  ): Promise<SecretWrite> {
    const identity = this.identity(kind, value, ...ids);
    if (this.ring === null) return { identity, content: { form: 'PLAIN', bytes: plaintext } };
    return { identity, content: await this.ring.encrypt(identity, plaintext) };
  }

  async passwords(from: number, to: number): Promise<SecretWrite[]> {
    const texts = Array.from({ length: to - from + 1 }, (_, n) => password(from + n));
    return Promise.all(
      texts.map((text) =>
        this.sealed('RECOVERY_PASSWORD', Buffer.from(text), parseRecoveryPassword(text).bytes),
      ),
    );
  }

  /** Commits secrets as a worker would. */
  async commit(...secrets: readonly SecretWrite[]): Promise<void> {
    const { clientId } = this.client;
    const messageId = newGuid();
    const digest = randomBytes(32);
    this.#sequence += 1n;
    const rank = { epoch: 1, sequence: this.#sequence, digest };
    const bodyType = 'ESCROW_RECOVERY_KEYS';
    const atMs = Date.now();
    const [result] = await this.store.apply([
      {
        candidate: {
          ...{ clientId, messageId, bodyType, rank, leavesOutcome: true },
          ...{ secrets: secrets.map(({ identity }) => identity), volumes: [], state: null, rotation: null },
        },
        outcome: {
          ...{ clientId, messageId, digest, bodyType, epoch: 1, sequence: rank.sequence },
          ...{ disposition: 'COMMITTED', reason: 'NONE', sealedReply: '', attempts: 1, stages: [] },
          ...{ receivedAtMs: atMs, decidedAtMs: atMs, decidedBy: 'test' },
        },
        outcomeMode: 'insert',
        secrets,
        effects: true,
        atMs,
      },
    ]);
    if (result?.kind !== 'applied') throw new Error(`not applied: ${JSON.stringify(result)}`);
  }

  /** Changes rows behind the engine's back, past the append-only triggers. */
  sql(statement: string, ...values: readonly unknown[]): void {
    const db = new Database(join(this.site.folder, 'site.db'));
    try {
      for (const table of ['MPE_KeySecrets', 'MPE_TpmOwnerAuthSecrets', 'MPE_DataKeyWraps'])
        db.exec(`DROP TRIGGER IF EXISTS ${table}_NoUpdate`);
      db.prepare(statement).run(...values);
    } finally {
      db.close();
    }
  }

  /** Flips bits of stored ciphertexts. */
  damage(...secrets: readonly SecretWrite[]): void {
    for (const { identity, content } of secrets) {
      const bytes = Buffer.from(content.bytes);
      bytes[20] = (bytes[20] ?? 0) ^ 1;
      const table = identity.kind === 'TPM_OWNER_AUTH' ? 'MPE_TpmOwnerAuthSecrets' : 'MPE_KeySecrets';
      this.sql(`UPDATE ${table} SET Content = ? WHERE SecretId = ?`, bytes, identity.secretId);
    }
  }

  /** The canary in this process. */
  async canary(more: Partial<CanaryOptions> & { readonly keysDir?: string } = {}): Promise<TestCanary> {
    const { log } = this.site;
    const store = more.store ?? this.store;
    const site = await openRecoverySite(more.keysDir ?? this.keysDir, this.store, {
      ...{ log, clock: systemClock() },
    });
    const metrics = new Metrics('recovery', { defaults: false });
    const alarms = new Alarms(log);
    const canary = new Canary({
      ...{ store, alarms, log, sample: 1000, clock: systemClock() },
      ...{ keys: site.keys, keeper: site.keeper, fingerprintKey: site.fingerprintKey },
      metrics: new CanaryMetrics(metrics, alarms),
      readDocument: async () =>
        checkSite(site.keyFolder, await store.readSite(), (await store.readSiteDocument()).jws),
      walk: new SecretWalk(store),
      ...more,
    });
    const readiness = new RecoveryReadiness(alarms, 60_000, site);
    onTestFinished(() => {
      site.keys.close();
      metrics.close();
    });
    return {
      alarms,
      keys: site.keys,
      fingerprints: site.fingerprintKey !== null,
      round: async (signal = new AbortController().signal) => {
        try {
          const report = await canary.round(signal);
          readiness.roundEnded(report);
          return report;
        } catch (error) {
          readiness.roundFailed(error);
          throw error;
        }
      },
      metrics: async () => (await metrics.scrape()).text,
      ready: async (name) => {
        try {
          return `ready: ${String(await readiness.checks[name]?.())}`;
        } catch (error) {
          return `not ready: ${(error as Error).message}`;
        }
      },
    };
  }
}

export interface TestCanary {
  readonly alarms: Alarms;
  readonly keys: Awaited<ReturnType<typeof openRecoverySite>>['keys'];
  readonly fingerprints: boolean;
  round(signal?: AbortSignal): Promise<RoundReport>;
  metrics(): Promise<string>;
  ready(check: 'certificate' | 'canary' | 'secrets'): Promise<string>;
}
