import { createHash } from 'node:crypto';
import type { Decision, Planner } from '../../src/store/commit/commit-group.js';
import type {
  ClientState,
  CommitCandidate,
  OutcomeRow,
  RotationReport,
  SiteSeed,
  SiteStore,
  VolumeReport,
} from '../../src/store/site-store.js';
import { NIL_GUID, type Guid } from '../../src/protocol/guid.js';
import type { BodyType, StoredDisposition, VolumeType } from '../../src/protocol/vocabulary.js';
import { FingerprintKey } from '../../src/secrets/fingerprint.js';
import { identify } from '../../src/secrets/secret-identity.js';
import type { DataKeyRow, SecretForm, SecretIdentity } from '../../src/secrets/types.js';

/** A moment well inside the years; tests add to it. */
export const T0 = Date.UTC(2026, 9, 25, 0, 30);

/** A readable GUID: a class of things and a number. */
export function id(kind: 'client' | 'message' | 'volume' | 'key' | 'misc', n: number): Guid {
  const first = {
    client: 'c11e0000',
    message: '3e550000',
    volume: '70100000',
    key: '8637036e',
    misc: '55550000',
  }[kind];
  return `${first}-0000-4000-8000-${n.toString(16).padStart(12, '0')}` as Guid;
}

export const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export const FINGERPRINTS = new FingerprintKey(id('misc', 1), sha256('fingerprint key of the tests'));
export const TOKEN_HASH = sha256('enrolment token');

/** What `site init` writes; no real key is needed by a store. */
export function siteSeed(uses = 1000): SiteSeed {
  return {
    site: {
      siteGuid: id('misc', 2),
      name: 'Contoso',
      rootThumbprint: 'root',
      testSite: true,
      siteVersion: '2403',
      createdAtMs: T0,
    },
    siteDocument: { version: 1, jws: 'a.b.c' },
    sealingKeys: [
      {
        kid: 'kid-1',
        alg: 'RSA-OAEP-256',
        publicJwk: '{}',
        wrappedPrivate: 'x',
        state: 'ACTIVE',
        createdAtMs: T0,
      },
    ],
    fingerprintKey: { fingerprintKeyId: FINGERPRINTS.id, wrapped: 'x', createdAtMs: T0 },
    policy: {
      policyId: id('misc', 3),
      name: 'Default',
      mode: 'ESCROW',
      targetTag: null,
      storePackages: true,
      removableDrives: true,
      tpmOwnerAuth: true,
      checkIntervalMinutes: 90,
      createdAtMs: T0,
      state: 'DEPLOYED',
      mbamMigration: false,
      rotateBesideOthers: false,
      revision: 1,
      deployedAtMs: T0,
      retiredAtMs: null,
      rings: [],
    },
    enrolmentTokens: [
      {
        tokenId: id('misc', 4),
        secretHash: TOKEN_HASH,
        usesAllowed: uses,
        usesLeft: uses,
        expiresAtMs: T0 + 1_000_000_000,
        tag: 'first',
        revokedAtMs: null,
        createdAtMs: T0,
      },
    ],
  };
}

/** A data key; its ciphertexts are not real here, the store never opens them. */
export const DATA_KEY: DataKeyRow = {
  dataKeyId: id('misc', 5),
  certificateThumbprint: 'cert-1',
  wrapped: 'jwe',
  createdAtMs: T0,
  createdBy: 'worker-1',
};

/** Registers clients by number: machine `PC<n>`, key `kid-of-<n>`. */
export async function register(store: SiteStore, ...numbers: number[]): Promise<void> {
  for (const n of numbers) {
    const result = await store.commitRegistration({
      clientId: id('client', n),
      registrationId: id('misc', 1000 + n),
      kid: `kid-of-${n}`,
      publicJwk: '{}',
      enrolmentTokenHash: TOKEN_HASH,
      provenByKid: null,
      machineName: `PC${n}`,
      domain: 'CONTOSO',
      hardwareId: '',
      joinType: 'DOMAIN',
      atMs: T0,
    });
    if (result.status !== 'REGISTERED') throw new Error(`client ${n} was not registered: ${result.reason}`);
  }
}

/** A protector in a message: password and package by a short word that stands for their value. */
export interface Protector {
  readonly key: number;
  readonly password?: string;
  readonly package?: string;
}

/** A message of the tests, short. */
export interface MessageSpec {
  readonly client: number;
  readonly message: number;
  readonly epoch?: number;
  readonly sequence: number | bigint;
  /** Tells two payloads of one message id apart. */
  readonly salt?: string;
  readonly volumes?: readonly {
    readonly volume: number;
    readonly type?: VolumeType;
    readonly protectors: readonly Protector[];
  }[];
  readonly tpm?: string;
  readonly state?: Partial<ClientState>;
  readonly rotation?: RotationReport;
}

/** Values behind identities, so that a planner can store them. */
const VALUES = new Map<string, Buffer>();

function secret(kind: SecretIdentity['kind'], keyId: Guid, volumeId: Guid, value: string): SecretIdentity {
  const bytes = Buffer.from(value, 'utf8');
  const identity = identify(FINGERPRINTS, kind, keyId, volumeId, bytes);
  VALUES.set(hex(identity.secretId), bytes);
  return identity;
}

/** Makes the candidate that the workers would make of such a message. */
export function candidate(spec: MessageSpec): CommitCandidate {
  const clientId = id('client', spec.client);
  const secrets: SecretIdentity[] = [];
  const volumes: VolumeReport[] = [];
  for (const { volume, type, protectors } of spec.volumes ?? []) {
    const volumeId = id('volume', volume);
    for (const protector of protectors) {
      const keyId = id('key', protector.key);
      if (protector.password !== undefined) {
        secrets.push(secret('RECOVERY_PASSWORD', keyId, volumeId, protector.password));
      }
      if (protector.package !== undefined) {
        secrets.push(secret('KEY_PACKAGE', keyId, volumeId, protector.package));
      }
    }
    volumes.push({
      volumeId,
      volumeType: type ?? 'OS',
      driveLabel: 'C:',
      protection: 'ON',
      keyIds: protectors.map((protector) => id('key', protector.key)).sort(),
    });
  }
  if (spec.tpm !== undefined) secrets.push(secret('TPM_OWNER_AUTH', clientId, NIL_GUID, spec.tpm));
  const bodyType: BodyType =
    spec.state !== undefined
      ? 'CHECK_IN'
      : spec.rotation !== undefined
        ? 'ROTATION_RESULT'
        : spec.tpm !== undefined
          ? 'ESCROW_TPM_OWNER_AUTH'
          : 'ESCROW_RECOVERY_KEYS';
  return {
    clientId,
    messageId: id('message', spec.message),
    bodyType,
    rank: {
      epoch: spec.epoch ?? 1,
      sequence: BigInt(spec.sequence),
      digest: sha256(
        JSON.stringify(spec, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)),
      ),
    },
    secrets,
    volumes,
    state:
      spec.state === undefined
        ? null
        : { machineName: '', domain: '', users: [], otherManagers: [], lastError: null, ...spec.state },
    rotation: spec.rotation ?? null,
    leavesOutcome: bodyType !== 'CHECK_IN',
  };
}

/** The outcome row that goes with a candidate. */
export function outcomeOf(
  message: CommitCandidate,
  disposition: StoredDisposition,
  atMs: number,
  by = 'worker-1',
): OutcomeRow {
  return {
    clientId: message.clientId,
    messageId: message.messageId,
    digest: message.rank.digest,
    bodyType: message.bodyType,
    epoch: message.rank.epoch,
    sequence: message.rank.sequence,
    disposition,
    reason:
      disposition === 'COMMITTED' ? 'NONE' : disposition === 'PARTIAL' ? 'ITEMS_REJECTED' : 'POLICY_REFUSED',
    sealedReply: `sealed ${disposition}`,
    attempts: 1,
    stages: [{ stage: 'commit', atMs, tookMs: 3, by, note: '' }],
    receivedAtMs: atMs - 5,
    decidedAtMs: atMs,
    decidedBy: by,
  };
}

/** How the tests' planner decides. */
export interface PlanOptions {
  readonly atMs?: number;
  readonly disposition?: StoredDisposition;
  /** Where set, secrets are sealed under this data key; else plain. */
  readonly dataKeyId?: Guid;
}

export type TestReply = StoredDisposition | 'ALREADY_COMMITTED' | 'MESSAGE_ID_REUSED';

/** The decisions of design §6, without policy: what the workers' planner does with a good message. */
export function testPlanner(options: PlanOptions = {}): Planner<TestReply> {
  const atMs = options.atMs ?? T0;
  const disposition = options.disposition ?? 'COMMITTED';
  return (message, facts): Promise<Decision<TestReply>> => {
    const { outcome, stateRank } = facts;
    if (outcome !== null && !Buffer.from(outcome.digest).equals(message.rank.digest)) {
      return Promise.resolve({ kind: 'reply', reply: 'MESSAGE_ID_REUSED' });
    }
    const sameState =
      stateRank !== null &&
      stateRank.epoch === message.rank.epoch &&
      stateRank.sequence === message.rank.sequence &&
      Buffer.from(stateRank.digest).equals(message.rank.digest);
    if (outcome?.disposition === 'COMMITTED' || (!message.leavesOutcome && sameState)) {
      return Promise.resolve({ kind: 'reply', reply: 'ALREADY_COMMITTED' });
    }
    const content = (identity: SecretIdentity): SecretForm => {
      const bytes = VALUES.get(hex(identity.secretId)) ?? Buffer.from('unknown');
      return options.dataKeyId === undefined
        ? { form: 'PLAIN', bytes }
        : {
            form: 'SEALED',
            dataKeyId: options.dataKeyId,
            bytes: Buffer.concat([Buffer.from('sealed:'), sha256(bytes.toString())]),
          };
    };
    return Promise.resolve({
      kind: 'write',
      reply: disposition,
      plan: {
        candidate: message,
        outcome: message.leavesOutcome ? outcomeOf(message, disposition, atMs) : null,
        outcomeMode: outcome === null ? 'insert' : 'move-up',
        secrets: message.secrets
          .filter((identity) => !facts.healthy.has(hex(identity.secretId)))
          .map((identity) => ({ identity, content: content(identity) })),
        effects: disposition === 'COMMITTED' || disposition === 'PARTIAL',
        atMs,
      },
    });
  };
}
