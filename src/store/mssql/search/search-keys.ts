import { VOLUME_TYPES } from '../../../protocol/vocabulary.js';
import { searchDigits } from '../../search-digits.js';
import type { KeySearch, NamedAccount, SearchedKey } from '../../search-store.js';
import { flag, guid, json, numbered, text, time, timeOrNull } from '../columns.js';
import { guidOf, intOf, rowsOf, textOf, wordOf, type SqlParameters } from '../parameters.js';
import { firstSet, type Session, type SqlRow } from '../session.js';

/** What is seen of one search: two round trips and no snapshot. */
export async function searchKeys(
  session: Session,
  search: KeySearch,
  options: { readonly limit: number; readonly users?: readonly NamedAccount[] },
): Promise<SearchedKey[]> {
  const { from, where, parameters } = found(search);
  const users = search.by === 'users' ? search.users : options.users;
  const keys = firstSet(
    await session.query(
      keysStatement({ from, where: `${where}${users === undefined ? '' : ` AND ${OF_USERS}`}` }),
      {
        ...parameters,
        ...(users === undefined ? {} : { users: usersOf(users) }),
        limit: intOf(options.limit),
      },
    ),
  );
  if (keys.length === 0) return [];
  const [volumes = [], exposed = [], held = []] = await session.query(FACTS, {
    keys: rowsOf(keys.map((row) => ({ k: guid(row, 'KeyId'), v: guid(row, 'VolumeId') }))),
    nothing: textOf('[]'),
  });
  return keys.map((row) => keyOf(row, { volumes, exposed, held }));
}

/** Users as statements take them. */
export const usersOf = (users: readonly NamedAccount[]): SqlParameters[string] =>
  rowsOf(users.map(({ domain, account }) => ({ d: domain, a: account })));

/**
 * TOP that leaves nothing out. Behind CROSS APPLY it has the few rows before it sought one by one: without
 * it a server that expects a thousand rows of any JSON reads whole tables beside them.
 */
const EVERY = 2_147_483_647;

/** Two texts are the same but for case: for a collation `straße` may be `strasse`, and emoji nothing. */
const sameLetters = (one: string, other: string): string =>
  `LOWER(${one}) COLLATE Latin1_General_BIN2 = LOWER(${other}) COLLATE Latin1_General_BIN2`;

/** Machines that one of the users signed in to. The index finds a name by the database's collation. */
export const MACHINES_OF_USERS = `SELECT x.ClientId
  FROM OPENJSON(@users) WITH (Domain nvarchar(512) '$.d', Name nvarchar(512) '$.a') j
    CROSS APPLY (
      SELECT TOP (${EVERY}) u.ClientId FROM MPE_ClientUsers u
      WHERE u.Name = j.Name AND ${sameLetters('u.Name', 'j.Name')}
        AND (j.Domain IS NULL OR (u.Domain = j.Domain AND ${sameLetters('u.Domain', 'j.Domain')}))) x`;

/** Machines that call themselves so. */
export const MACHINES_NAMED = `SELECT s.ClientId FROM MPE_ClientStates s WHERE s.MachineName = @machine
  UNION SELECT c.ClientId FROM MPE_Clients c WHERE c.MachineName = @machine`;

const OF_USERS = `EXISTS (
  SELECT 1 FROM MPE_Keys uk JOIN MPE_KeyProofs up ON up.SecretId = uk.SecretId
  WHERE uk.KeyId = k.KeyId AND uk.VolumeId = k.VolumeId AND up.ClientId IN (${MACHINES_OF_USERS}))`;

/** Where keys come from, and on what condition. */
interface Found {
  readonly from: string;
  readonly where: string;
  readonly parameters: SqlParameters;
}

/** Keys that a machine of a query, or the one of a condition, sent. */
const heldBy = (clients: string): Pick<Found, 'from' | 'where'> => ({
  from: `(SELECT DISTINCT hp.SecretId FROM MPE_KeyProofs hp WHERE hp.ClientId ${clients}) w
      CROSS APPLY (
        SELECT TOP (${EVERY}) o.SecretId, o.KeyId, o.VolumeId, o.Kind, o.FirstStoredAt
        FROM MPE_Keys o WHERE o.SecretId = w.SecretId) k`,
  where: '1 = 1',
});

function found(search: KeySearch): Found {
  switch (search.by) {
    case 'digits': {
      const digits = searchDigits(search.digits);
      return {
        from: 'MPE_Keys k',
        where: `k.KeyIdPrefix = CAST(@prefix AS char(8))
          AND LEFT(REPLACE(LOWER(CONVERT(char(36), k.KeyId)), '-', ''), LEN(@digits)) = @digits`,
        parameters: { prefix: wordOf(digits.slice(0, 8)), digits: wordOf(digits) },
      };
    }
    case 'client':
      return { ...heldBy('= @clientId'), parameters: { clientId: guidOf(search.clientId) } };
    case 'machine':
      return {
        ...heldBy(`IN (SELECT m.Id FROM RecoveryAndHardwareCore_Machines m
          WHERE m.Id IN (${MACHINES_NAMED}) AND m.Name = @machine
            AND (@domain IS NULL OR m.DomainName = @domain))`),
        parameters: { machine: textOf(search.machine), domain: textOf(search.domain) },
      };
    case 'users':
      return { ...heldBy(`IN (${MACHINES_OF_USERS})`), parameters: {} };
  }
}

// GUIDs are ordered as text: SQL Server orders uniqueidentifier by its last bytes.
const keysStatement = ({ from, where }: Pick<Found, 'from' | 'where'>): string => `
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
    FROM ${from}
    WHERE ${where}
  ) found
  GROUP BY KeyId, VolumeId
  ORDER BY LastProvenAt DESC, CONVERT(char(36), KeyId), CONVERT(char(36), VolumeId)`;

const PAIRS = `OPENJSON(@keys) WITH (KeyId uniqueidentifier '$.k', VolumeId uniqueidentifier '$.v') w`;

const FACTS = `
  SELECT n.VolumeId, n.VolumeType, n.DriveLabel FROM (
    SELECT r.VolumeId, r.VolumeType, r.DriveLabel,
      ROW_NUMBER() OVER (PARTITION BY r.VolumeId ORDER BY r.ReportedAt DESC, CONVERT(char(36), r.ClientId)) AS Nth
    FROM MPE_Reports r WHERE r.VolumeId IN (SELECT w.VolumeId FROM ${PAIRS})) n
  WHERE n.Nth = 1;
  SELECT e.KeyId, MAX(e.ExposedAt) AS ExposedAt FROM MPE_Exposures e
  WHERE e.KeyId IN (SELECT w.KeyId FROM ${PAIRS}) GROUP BY e.KeyId;
  SELECT h.KeyId, h.VolumeId, h.ClientId, m.Name, m.DomainName, r.ReportedAt,
    COALESCE(r.KeyIds, @nothing) AS KeyIds,
    (SELECT MIN(p2.ProvenAt) FROM MPE_Keys k2 JOIN MPE_KeyProofs p2 ON p2.SecretId = k2.SecretId
     WHERE k2.VolumeId = h.VolumeId AND k2.KeyId <> h.KeyId AND p2.ClientId = h.ClientId
       AND p2.ProvenAt > h.ProvenAt) AS NextAt
  FROM (SELECT k.KeyId, k.VolumeId, p.ClientId, MIN(p.ProvenAt) AS ProvenAt
        FROM ${PAIRS}
          JOIN MPE_Keys k ON k.KeyId = w.KeyId AND k.VolumeId = w.VolumeId
          JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId
        GROUP BY k.KeyId, k.VolumeId, p.ClientId) h
    JOIN RecoveryAndHardwareCore_Machines m ON m.Id = h.ClientId
    LEFT JOIN MPE_Reports r ON r.ClientId = h.ClientId AND r.VolumeId = h.VolumeId;`;

interface Facts {
  readonly volumes: readonly SqlRow[];
  readonly exposed: readonly SqlRow[];
  readonly held: readonly SqlRow[];
}

function keyOf(row: SqlRow, { volumes, exposed, held }: Facts): SearchedKey {
  const keyId = guid(row, 'KeyId');
  const volumeId = guid(row, 'VolumeId');
  const volume = volumes.find((one) => guid(one, 'VolumeId') === volumeId);
  const shown = exposed.find((one) => guid(one, 'KeyId') === keyId);
  return {
    keyId,
    volumeId,
    volumeType: volume === undefined ? 'UNKNOWN' : numbered(volume, 'VolumeType', VOLUME_TYPES),
    driveLabel: volume === undefined ? '' : text(volume, 'DriveLabel'),
    firstStoredAtMs: time(row, 'FirstStoredAt'),
    lastProvenAtMs: time(row, 'LastProvenAt'),
    hasPackage: flag(row, 'HasPackage'),
    conflicting: flag(row, 'Conflict'),
    readable: flag(row, 'Readable'),
    exposedAtMs: shown === undefined ? null : timeOrNull(shown, 'ExposedAt'),
    holders: held
      .filter((one) => guid(one, 'KeyId') === keyId && guid(one, 'VolumeId') === volumeId)
      .map((one) => {
        const current = json<string[]>(one, 'KeyIds').includes(keyId);
        const reportedAtMs = timeOrNull(one, 'ReportedAt');
        return {
          clientId: guid(one, 'ClientId'),
          machineName: text(one, 'Name'),
          domain: text(one, 'DomainName'),
          current,
          supersededAtMs:
            current || reportedAtMs === null ? null : (timeOrNull(one, 'NextAt') ?? reportedAtMs),
          reportedAtMs,
        };
      })
      .sort(
        (a, b) =>
          (b.reportedAtMs ?? Number.NEGATIVE_INFINITY) - (a.reportedAtMs ?? Number.NEGATIVE_INFINITY) ||
          (a.clientId < b.clientId ? -1 : 1),
      ),
  };
}
