import { createHash } from 'node:crypto';
import { guidFromBytes, guidToBytes, type Guid } from '../protocol/guid.js';
import type { DataKeyRow } from './types.js';

/** A data key whose bytes are known beforehand. */
export interface Sentinel {
  readonly dataKeyId: Guid;
  readonly key: Buffer;
}

/**
 * The sentinel of a certificate: a data key of which everybody knows id and bytes, wrapped like any
 * other and stored beside the others at the first start. It encrypts nothing, and a secret that names
 * it is refused. Opening it proves, whatever else is in the database, that this certificate opens what
 * is wrapped to it and that the database still gives back what was stored: so "the certificate is
 * wrong" and "this one row is damaged" can be told apart.
 *
 * Computed from site and certificate, so that every process means the same row.
 */
export function sentinelOf(siteGuid: Guid, certificateThumbprint: string): Sentinel {
  const hash = (label: string): Buffer =>
    createHash('sha256')
      .update(`mpe recovery sentinel ${label}\0`, 'utf8')
      .update(guidToBytes(siteGuid))
      .update(Buffer.from(certificateThumbprint, 'hex'))
      .digest();
  const id = hash('id').subarray(0, 16);
  // A GUID of version 8 (RFC 9562): made by a rule of its own.
  id[6] = ((id[6] ?? 0) & 0x0f) | 0x80;
  id[8] = ((id[8] ?? 0) & 0x3f) | 0x80;
  return { dataKeyId: guidFromBytes(id), key: hash('key') };
}

/** Whether a row is the sentinel of the certificate that it is wrapped to. */
export function isSentinelRow(siteGuid: Guid, row: DataKeyRow): boolean {
  return row.dataKeyId === sentinelOf(siteGuid, row.certificateThumbprint).dataKeyId;
}

/**
 * The rows without the sentinels of former certificates: those encrypt nothing, are wrapped to nothing else,
 * and go with their certificate when its private key is taken away.
 *
 * @param current - thumbprint of the certificate that the site document names; null for none
 */
export function withoutFormerSentinels(
  rows: readonly DataKeyRow[],
  siteGuid: Guid,
  current: string | null,
): readonly DataKeyRow[] {
  return rows.filter((row) => row.certificateThumbprint === current || !isSentinelRow(siteGuid, row));
}
