import { VOLUME_TYPES } from '../../../protocol/vocabulary.js';
import { MIN_DIGITS, searchDigits } from '../../search-digits.js';
import type { KeySearch, NamedAccount, SearchedKey } from '../../search-store.js';
import { flag, guid, integer, integerOrNull, numbered, text } from '../columns.js';
import type { Connection, SqlRow } from '../connection.js';

/**
 * Keys without their values, the newest proof first: one statement that seeks the keys, one for what is
 * known of them, one for their holders, in one snapshot.
 */
export function searchKeys(
  c: Connection,
  search: KeySearch,
  options: { readonly limit: number; readonly users?: readonly NamedAccount[] },
): SearchedKey[] {
  const { where, value } = found(search);
  const users = usersJson(search.by === 'users' ? search.users : (options.users ?? []));
  const ofUsers = search.by === 'users' || options.users !== undefined;
  return c.snapshot(() => {
    const keys = c.all(
      `SELECT k.KeyId, k.VolumeId, min(k.FirstStoredAt) AS FirstStoredAt,
         max(k.FirstStoredAt, coalesce(max(p.ProvenAt), 0)) AS LastProvenAt,
         count(DISTINCT CASE k.Kind WHEN 1 THEN k.SecretId END) > 1 AS Conflict,
         max(k.Kind = 2) AS HasPackage,
         max(k.Kind = 1 AND EXISTS (
           SELECT 1 FROM MPE_KeySecrets s WHERE s.SecretId = k.SecretId AND NOT EXISTS (
             SELECT 1 FROM MPE_SecretDamage d
             WHERE d.SecretId = s.SecretId AND d.Generation = s.Generation))) AS Readable
       FROM MPE_Keys k LEFT JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
       WHERE ${where} ${ofUsers ? `AND ${OF_USERS}` : 'AND ?2 IS NOT NULL'}
       GROUP BY k.KeyId, k.VolumeId
       ORDER BY LastProvenAt DESC, k.KeyId, k.VolumeId LIMIT ?3`,
      value,
      users,
      options.limit,
    );
    const pairs = JSON.stringify(keys.map((row) => ({ k: text(row, 'KeyId'), v: text(row, 'VolumeId') })));
    const facts = byPair(c.all(FACTS, pairs));
    const holders = byPair(c.all(HOLDERS, pairs));
    return keys.map((row) => keyOf(row, facts.get(pairOf(row))?.[0], holders.get(pairOf(row)) ?? []));
  });
}

// A CROSS JOIN stays in its order, so that each search begins at its index.
const HELD_BY = (machines: string): string =>
  `k.SecretId IN (SELECT hp.SecretId FROM (${machines}) hm CROSS JOIN MPE_KeyProofs hp ON hp.ClientId = hm.ClientId)`;

const MACHINES_OF_USERS = `SELECT u.ClientId FROM json_each(?2) j CROSS JOIN MPE_ClientUsers u
  ON u.Name = j.value ->> 'a' COLLATE NOCASE AND (j.value ->> 'd' IS NULL OR u.Domain = j.value ->> 'd' COLLATE NOCASE)`;

/** The keys that machines of the users sent, under whatever volume and value. */
const OF_USERS = `EXISTS (
  SELECT 1 FROM MPE_Keys uk JOIN MPE_KeyProofs up ON up.SecretId = uk.SecretId
  WHERE uk.KeyId = k.KeyId AND uk.VolumeId = k.VolumeId AND up.ClientId IN (${MACHINES_OF_USERS}))`;

function found(search: KeySearch): { readonly where: string; readonly value: string } {
  switch (search.by) {
    case 'digits': {
      const digits = searchDigits(search.digits);
      return {
        where: `k.KeyIdPrefix = substr(?1, 1, ${MIN_DIGITS}) AND substr(replace(k.KeyId, '-', ''), 1, length(?1)) = ?1`,
        value: digits,
      };
    }
    case 'client':
      return { where: HELD_BY('SELECT ?1 AS ClientId'), value: search.clientId };
    case 'machine':
      return {
        where: HELD_BY(
          `SELECT w.ClientId FROM (
             SELECT ClientId FROM MPE_ClientStates WHERE MachineName = ?1 ->> 'm' COLLATE NOCASE
             UNION SELECT ClientId FROM MPE_Clients WHERE MachineName = ?1 ->> 'm' COLLATE NOCASE) w
           JOIN RecoveryAndHardwareCore_Machines m ON m.Id = w.ClientId
           WHERE m.Name = ?1 ->> 'm' COLLATE NOCASE
             AND (?1 ->> 'd' IS NULL OR m.DomainName = ?1 ->> 'd' COLLATE NOCASE)`,
        ),
        value: JSON.stringify({ m: search.machine, d: search.domain }),
      };
    case 'users':
      return { where: `${HELD_BY(MACHINES_OF_USERS)} AND ?1 = ''`, value: '' };
  }
}

/** Users as statements take them. */
export function usersJson(users: readonly NamedAccount[]): string {
  return JSON.stringify(users.map(({ domain, account }) => ({ d: domain, a: account })));
}

const PAIRS = `(SELECT value ->> 'k' AS KeyId, value ->> 'v' AS VolumeId FROM json_each(?1))`;

const FACTS = `
  SELECT w.KeyId, w.VolumeId,
    coalesce((SELECT r.VolumeType FROM MPE_Reports r WHERE r.VolumeId = w.VolumeId
              ORDER BY r.ReportedAt DESC, r.ClientId LIMIT 1), 0) AS VolumeType,
    coalesce((SELECT r.DriveLabel FROM MPE_Reports r WHERE r.VolumeId = w.VolumeId
              ORDER BY r.ReportedAt DESC, r.ClientId LIMIT 1), '') AS DriveLabel,
    (SELECT max(e.ExposedAt) FROM MPE_Exposures e WHERE e.KeyId = w.KeyId) AS ExposedAt
  FROM ${PAIRS} w`;

// Superseded: when the machine sent the next key of the volume; where it sent none, its report.
const HOLDERS = `
  SELECT h.KeyId, h.VolumeId, h.ClientId, m.Name, m.DomainName, r.ReportedAt,
    coalesce(EXISTS (SELECT 1 FROM json_each(r.KeyIds) j WHERE j.value = h.KeyId), 0) AS Current,
    (SELECT min(p2.ProvenAt) FROM MPE_Keys k2 JOIN MPE_KeyProofs p2 ON p2.SecretId = k2.SecretId
     WHERE k2.VolumeId = h.VolumeId AND k2.KeyId <> h.KeyId AND p2.ClientId = h.ClientId
       AND p2.ProvenAt > h.ProvenAt) AS NextAt
  FROM (SELECT w.KeyId, w.VolumeId, p.ClientId, min(p.ProvenAt) AS ProvenAt
        FROM ${PAIRS} w CROSS JOIN MPE_Keys k ON k.KeyId = w.KeyId AND k.VolumeId = w.VolumeId
          CROSS JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
        GROUP BY w.KeyId, w.VolumeId, p.ClientId) h
    JOIN RecoveryAndHardwareCore_Machines m ON m.Id = h.ClientId
    LEFT JOIN MPE_Reports r ON r.ClientId = h.ClientId AND r.VolumeId = h.VolumeId
  ORDER BY r.ReportedAt DESC, h.ClientId`;

const pairOf = (row: SqlRow): string => `${text(row, 'KeyId').toLowerCase()} ${text(row, 'VolumeId')}`;

function byPair(rows: readonly SqlRow[]): Map<string, SqlRow[]> {
  const grouped = new Map<string, SqlRow[]>();
  for (const row of rows) grouped.set(pairOf(row), [...(grouped.get(pairOf(row)) ?? []), row]);
  return grouped;
}

function keyOf(row: SqlRow, facts: SqlRow | undefined, holders: readonly SqlRow[]): SearchedKey {
  return {
    keyId: guid(row, 'KeyId'),
    volumeId: guid(row, 'VolumeId'),
    volumeType: facts === undefined ? 'UNKNOWN' : numbered(facts, 'VolumeType', VOLUME_TYPES),
    driveLabel: facts === undefined ? '' : text(facts, 'DriveLabel'),
    firstStoredAtMs: integer(row, 'FirstStoredAt'),
    lastProvenAtMs: integer(row, 'LastProvenAt'),
    hasPackage: flag(row, 'HasPackage'),
    conflicting: flag(row, 'Conflict'),
    readable: flag(row, 'Readable'),
    exposedAtMs: facts === undefined ? null : integerOrNull(facts, 'ExposedAt'),
    holders: holders.map((held) => {
      const current = flag(held, 'Current');
      const reportedAtMs = integerOrNull(held, 'ReportedAt');
      return {
        clientId: guid(held, 'ClientId'),
        machineName: text(held, 'Name'),
        domain: text(held, 'DomainName'),
        current,
        supersededAtMs:
          current || reportedAtMs === null ? null : (integerOrNull(held, 'NextAt') ?? reportedAtMs),
        reportedAtMs,
      };
    }),
  };
}
