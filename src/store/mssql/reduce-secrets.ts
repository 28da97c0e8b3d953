import { secretKindNumber } from '../../secrets/types.js';
import type { CommitPlan, SecretIdentity, SecretWrite } from '../site-store.js';
import { distinct, hexOf, type JsonRow } from './json-rows.js';
import { sqlTime } from './parameters.js';

/** A secret that a group brings: the first plan that carries it writes it. */
export interface BroughtSecret extends SecretWrite {
  /** Hex of the secret id. */
  readonly id: string;
  /** Place of the plan in the group. */
  readonly plan: number;
  readonly atMs: number;
}

/** The secrets of a group, each once, in order of their ids. */
export function broughtSecrets(plans: readonly CommitPlan[]): BroughtSecret[] {
  const first = new Map<string, BroughtSecret>();
  plans.forEach(({ effects, secrets, atMs }, plan) => {
    if (!effects) return;
    for (const secret of secrets) {
      const id = hexOf(secret.identity.secretId);
      if (!first.has(id)) first.set(id, { ...secret, id, plan, atMs });
    }
  });
  return [...first.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** A generation to store. */
export interface Generation {
  readonly row: JsonRow;
  readonly content: Uint8Array;
  readonly ownerAuth: boolean;
  /** Place of the plan that brings it. */
  readonly plan: number;
}

/** The generations that a group writes: one a secret that has no healthy one, with the next number. */
export function nextGenerations(
  brought: readonly BroughtSecret[],
  healthy: ReadonlySet<string>,
  highest: ReadonlyMap<string, number>,
): Generation[] {
  return brought
    .filter(({ id }) => !healthy.has(id))
    .map(({ identity, content, id, plan, atMs }) => ({
      row: {
        SecretId: id,
        Generation: (highest.get(id) ?? 0) + 1,
        Form: content.form === 'PLAIN' ? 1 : 2,
        DataKeyId: content.form === 'PLAIN' ? null : content.dataKeyId,
        StoredAt: sqlTime(atMs),
      },
      content: content.bytes,
      ownerAuth: identity.kind === 'TPM_OWNER_AUTH',
      plan,
    }));
}

/** The identity of a recovery password or key package. */
export function keyRow({ identity, id, atMs }: BroughtSecret): JsonRow {
  return {
    SecretId: id,
    Kind: secretKindNumber(identity.kind),
    KeyId: identity.keyId,
    KeyIdPrefix: identity.keyId.slice(0, 8),
    VolumeId: identity.volumeId,
    FingerprintKeyId: identity.fingerprintKeyId,
    Fingerprint: identity.fingerprint,
    FirstStoredAt: sqlTime(atMs),
  };
}

/** The identity of an owner authorization. */
export function ownerAuthRow({ identity, id, atMs }: BroughtSecret): JsonRow {
  return {
    SecretId: id,
    ClientId: identity.keyId,
    FingerprintKeyId: identity.fingerprintKeyId,
    Fingerprint: identity.fingerprint,
    FirstStoredAt: sqlTime(atMs),
  };
}

/** Volumes that reports and keys name. */
export function volumeRows(plans: readonly CommitPlan[]): JsonRow[] {
  const rows = plans.flatMap(({ candidate, atMs }) => {
    const ofSecrets = candidate.secrets.filter(({ kind }) => kind !== 'TPM_OWNER_AUTH');
    return [...candidate.volumes, ...ofSecrets].map(({ volumeId }) => ({
      VolumeId: volumeId,
      FirstSeenAt: sqlTime(atMs),
    }));
  });
  return distinct(rows, ['VolumeId']);
}

/** Which client sent which secret; the first message counts. */
export function proofRows(plans: readonly CommitPlan[]): { kind: SecretIdentity['kind']; row: JsonRow }[] {
  const first = new Map<string, { kind: SecretIdentity['kind']; row: JsonRow }>();
  for (const { candidate, atMs } of plans) {
    const { clientId, messageId, rank } = candidate;
    for (const { kind, secretId } of candidate.secrets) {
      const id = hexOf(secretId);
      const place = `${clientId}/${id}`;
      if (first.has(place)) continue;
      const row = {
        ...{ ClientId: clientId, SecretId: id, MessageId: messageId },
        ...{ Epoch: rank.epoch, Sequence: rank.sequence, ProvenAt: sqlTime(atMs) },
      };
      first.set(place, { kind, row });
    }
  }
  return [...first].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, proof]) => proof);
}
