import { MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import { VOLUME_TYPES } from '../../protocol/vocabulary.js';
import type { FoundKey } from '../site-store.js';
import { flag, guid, json, numbered, text, time, timeOrNull } from './columns.js';
import { intOf, rowsOf, textOf, wordOf } from './parameters.js';
import { firstSet, type Session, type SqlRow } from './session.js';

/** Hex digits that a search needs at least: what the pre-boot screen shows. */
const MIN_DIGITS = 8;

/**
 * Keys whose id starts with the given digits, newest first: metadata alone. Case, braces, hyphens
 * and blanks are ignored, as people type them.
 *
 * Two round trips and no snapshot: the keys, then their volumes, exposures and holders, which may be
 * a moment newer.
 *
 * @throws MpeError VALUE_INVALID for fewer than 8 or more than 32 hex digits, or other characters.
 */
export async function findKeys(session: Session, prefix: string, limit: number): Promise<FoundKey[]> {
  const digits = prefix.toLowerCase().replaceAll(/[-{}\s]/g, '');
  if (!/^[0-9a-f]*$/.test(digits) || digits.length < MIN_DIGITS || digits.length > 32) {
    throw new MpeError('VALUE_INVALID', 'a key is searched by the first 8 to 32 hex digits of its key ID');
  }
  const keys = firstSet(
    await session.query(KEYS, {
      prefix: wordOf(digits.slice(0, MIN_DIGITS)),
      digits: wordOf(digits),
      limit: intOf(limit),
    }),
  );
  if (keys.length === 0) return [];
  const [volumes = [], exposed = [], held = []] = await session.query(FACTS, {
    keys: rowsOf(keys.map((row) => ({ k: guid(row, 'KeyId'), v: guid(row, 'VolumeId') }))),
    nothing: textOf('[]'),
  });
  const types = new Map(
    volumes.map((row) => [guid(row, 'VolumeId'), numbered(row, 'VolumeTypeId', VOLUME_TYPES)]),
  );
  const disclosed = new Set(exposed.map((row) => guid(row, 'KeyId')));
  return keys.map((row) => {
    const keyId = guid(row, 'KeyId');
    const volumeId = guid(row, 'VolumeId');
    return {
      keyId,
      volumeId,
      volumeType: types.get(volumeId) ?? 'UNKNOWN',
      firstStoredAtMs: time(row, 'FirstStoredAt'),
      lastProvenAtMs: time(row, 'LastProvenAt'),
      readable: flag(row, 'Readable'),
      hasPackage: flag(row, 'HasPackage'),
      conflict: flag(row, 'Conflict'),
      disclosed: disclosed.has(keyId),
      holders: holders(
        held.filter((one) => guid(one, 'KeyId') === keyId && guid(one, 'VolumeId') === volumeId),
        keyId,
      ),
    };
  });
}

/** Clients that sent the key, the newest report first, those without a report last. */
function holders(rows: readonly SqlRow[], keyId: Guid): FoundKey['holders'] {
  return rows
    .map((row) => ({
      clientId: guid(row, 'ClientId'),
      machineName: text(row, 'Name'),
      current: json<string[]>(row, 'KeyIds').includes(keyId),
      reportedAtMs: timeOrNull(row, 'ReportedAt'),
    }))
    .sort(
      (a, b) =>
        (b.reportedAtMs ?? Number.NEGATIVE_INFINITY) - (a.reportedAtMs ?? Number.NEGATIVE_INFINITY) ||
        (a.clientId < b.clientId ? -1 : 1),
    );
}

// GUIDs are ordered as text: SQL Server orders uniqueidentifier by its last bytes.
const KEYS = `
  SELECT TOP (@limit) KeyId, VolumeId, MIN(FirstStoredAt) AS FirstStoredAt,
    CASE WHEN MAX(ProvenAt) > MAX(FirstStoredAt) THEN MAX(ProvenAt) ELSE MAX(FirstStoredAt) END AS LastProvenAt,
    MAX(IsReadable) AS Readable, MAX(CASE WHEN Kind = 2 THEN 1 ELSE 0 END) AS HasPackage,
    CASE WHEN SUM(CASE WHEN Kind = 1 THEN 1 ELSE 0 END) > 1 THEN 1 ELSE 0 END AS Conflict
  FROM (
    SELECT k.KeyId, k.VolumeId, k.Kind, k.FirstStoredAt,
      (SELECT MAX(p.ProvenAt) FROM MPE_KeyProofs p WHERE p.SecretId = k.SecretId) AS ProvenAt,
      CASE WHEN k.Kind = 1 AND EXISTS (
        SELECT 1 FROM MPE_KeySecrets s WHERE s.SecretId = k.SecretId AND NOT EXISTS (
          SELECT 1 FROM MPE_SecretDamage d WHERE d.SecretId = s.SecretId AND d.Generation = s.Generation))
      THEN 1 ELSE 0 END AS IsReadable
    FROM MPE_Keys k
    WHERE k.KeyIdPrefix = CAST(@prefix AS char(8))
      AND LEFT(REPLACE(LOWER(CONVERT(char(36), k.KeyId)), '-', ''), LEN(@digits)) = @digits
  ) found
  GROUP BY KeyId, VolumeId
  ORDER BY LastProvenAt DESC, CONVERT(char(36), KeyId), CONVERT(char(36), VolumeId)`;

const PAIRS = `OPENJSON(@keys) WITH (KeyId uniqueidentifier '$.k', VolumeId uniqueidentifier '$.v') w`;

const FACTS = `
  SELECT v.Id AS VolumeId, v.VolumeTypeId FROM RecoveryAndHardwareCore_Volumes v
  WHERE v.Id IN (SELECT w.VolumeId FROM ${PAIRS});
  SELECT DISTINCT e.KeyId FROM MPE_Exposures e WHERE e.KeyId IN (SELECT w.KeyId FROM ${PAIRS});
  SELECT h.KeyId, h.VolumeId, h.ClientId, m.Name, r.ReportedAt, COALESCE(r.KeyIds, @nothing) AS KeyIds
  FROM (SELECT DISTINCT k.KeyId, k.VolumeId, p.ClientId
        FROM ${PAIRS}
          JOIN MPE_Keys k ON k.KeyId = w.KeyId AND k.VolumeId = w.VolumeId
          JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId) h
    JOIN RecoveryAndHardwareCore_Machines m ON m.Id = h.ClientId
    LEFT JOIN MPE_Reports r ON r.ClientId = h.ClientId AND r.VolumeId = h.VolumeId;`;
