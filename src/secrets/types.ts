import type { Guid } from '../protocol/guid.js';

/** What a stored secret is. Numbered in the database: 1, 2, 3. */
export const SECRET_KINDS = ['RECOVERY_PASSWORD', 'KEY_PACKAGE', 'TPM_OWNER_AUTH'] as const;
export type SecretKind = (typeof SECRET_KINDS)[number];

/** The number of a kind in fingerprints, associated data and the database. */
export function secretKindNumber(kind: SecretKind): number {
  return SECRET_KINDS.indexOf(kind) + 1;
}

/**
 * The identity of a stored secret. Two clients that send the same value of the same protector
 * share it. For TPM_OWNER_AUTH the key id is the client id and the volume id is NIL_GUID.
 */
export interface SecretIdentity {
  /**
   * SHA-256 over kind, key id, volume id, fingerprint key id and fingerprint as fixed bytes: the
   * primary key, known before anything is written.
   */
  readonly secretId: Uint8Array;
  readonly kind: SecretKind;
  readonly keyId: Guid;
  readonly volumeId: Guid;
  readonly fingerprintKeyId: Guid;
  /** HMAC-SHA-256, 32 bytes. */
  readonly fingerprint: Uint8Array;
}

/** How a secret is stored. */
export type SecretForm =
  | { readonly form: 'PLAIN'; readonly bytes: Uint8Array }
  | { readonly form: 'SEALED'; readonly dataKeyId: Guid; readonly bytes: Uint8Array };

/** A data key, wrapped to the certificate. */
export interface DataKeyRow {
  readonly dataKeyId: Guid;
  /** SHA-256 thumbprint of the certificate, hex. */
  readonly certificateThumbprint: string;
  /** Compact JWE, typ mpe-dk. */
  readonly wrapped: string;
  readonly createdAtMs: number;
  readonly createdBy: string;
}
