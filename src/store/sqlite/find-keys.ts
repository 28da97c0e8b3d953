import { MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import { VOLUME_TYPES } from '../../protocol/vocabulary.js';
import type { FoundKey } from '../site-store.js';
import { flag, guid, integer, integerOrNull, numbered, text } from './columns.js';
import type { Connection } from './connection.js';

/** Hex digits that a search needs at least: what the pre-boot screen shows. */
const MIN_DIGITS = 8;

/**
 * Keys whose id starts with the given digits, newest first: metadata alone. Case, braces, hyphens
 * and blanks are ignored, as people type them.
 *
 * @throws MpeError VALUE_INVALID for fewer than 8 or more than 32 hex digits, or other characters.
 */
export function findKeys(c: Connection, prefix: string, limit: number): FoundKey[] {
  const digits = prefix.toLowerCase().replaceAll(/[-{}\s]/g, '');
  if (!/^[0-9a-f]*$/.test(digits) || digits.length < MIN_DIGITS || digits.length > 32) {
    throw new MpeError('VALUE_INVALID', 'a key is searched by the first 8 to 32 hex digits of its key ID');
  }
  return c.snapshot(() =>
    c
      .all(
        `SELECT k.KeyId, k.VolumeId, min(k.FirstStoredAt) AS FirstStoredAt,
           max(k.FirstStoredAt, coalesce(max(p.ProvenAt), 0)) AS LastProvenAt,
           count(DISTINCT CASE k.Kind WHEN 1 THEN k.SecretId END) > 1 AS Conflict,
           max(k.Kind = 2) AS HasPackage,
           max(k.Kind = 1 AND EXISTS (
             SELECT 1 FROM MPE_KeySecrets s WHERE s.SecretId = k.SecretId AND NOT EXISTS (
               SELECT 1 FROM MPE_SecretDamage d
               WHERE d.SecretId = s.SecretId AND d.Generation = s.Generation))) AS Readable
         FROM MPE_Keys k LEFT JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
         WHERE k.KeyIdPrefix = ?1 AND substr(replace(k.KeyId, '-', ''), 1, length(?2)) = ?2
         GROUP BY k.KeyId, k.VolumeId
         ORDER BY LastProvenAt DESC, k.KeyId, k.VolumeId LIMIT ?3`,
        digits.slice(0, MIN_DIGITS),
        digits,
        limit,
      )
      .map((row) => {
        const keyId = guid(row, 'KeyId');
        const volumeId = guid(row, 'VolumeId');
        const facts = c.get(
          `SELECT (SELECT VolumeTypeId FROM RecoveryAndHardwareCore_Volumes WHERE Id = ?2) AS VolumeType,
             EXISTS (SELECT 1 FROM MPE_Exposures WHERE KeyId = ?1) AS Disclosed`,
          keyId,
          volumeId,
        );
        if (facts === undefined) throw new MpeError('INTERNAL', 'a SELECT without FROM answered no row');
        return {
          keyId,
          volumeId,
          volumeType: numbered(facts, 'VolumeType', VOLUME_TYPES),
          firstStoredAtMs: integer(row, 'FirstStoredAt'),
          lastProvenAtMs: integer(row, 'LastProvenAt'),
          readable: flag(row, 'Readable'),
          hasPackage: flag(row, 'HasPackage'),
          conflict: flag(row, 'Conflict'),
          disclosed: flag(facts, 'Disclosed'),
          holders: holders(c, keyId, volumeId),
        };
      }),
  );
}

/** Clients that sent the key, the newest report first. */
function holders(c: Connection, keyId: Guid, volumeId: Guid): FoundKey['holders'] {
  return c
    .all(
      `SELECT DISTINCT p.ClientId, m.Name, r.ReportedAt,
         coalesce(EXISTS (SELECT 1 FROM json_each(r.KeyIds) j WHERE j.value = ?1), 0) AS Current
       FROM MPE_Keys k
         JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
         JOIN RecoveryAndHardwareCore_Machines m ON m.Id = p.ClientId
         LEFT JOIN MPE_Reports r ON r.ClientId = p.ClientId AND r.VolumeId = k.VolumeId
       WHERE k.KeyId = ?1 AND k.VolumeId = ?2
       ORDER BY r.ReportedAt DESC, p.ClientId`,
      keyId,
      volumeId,
    )
    .map((row) => ({
      clientId: guid(row, 'ClientId'),
      machineName: text(row, 'Name'),
      current: flag(row, 'Current'),
      reportedAtMs: integerOrNull(row, 'ReportedAt'),
    }));
}
