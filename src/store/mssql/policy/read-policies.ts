import { POLICY_MODES } from '../../../protocol/vocabulary.js';
import type { PolicyRing, PolicyRow } from '../../site-store.js';
import { flag, guid, integer, text, textOrNull, time, timeOrNull, word } from '../columns.js';
import type { Session, SqlRow } from '../session.js';

/** All policies with their rings, oldest first; one round trip. */
export async function readPolicies(session: Session): Promise<PolicyRow[]> {
  const [policies = [], rings = []] = await session.query(
    `SELECT PolicyId, Name, Mode, TargetTag, StorePackages, RemovableDrives, TpmOwnerAuth,
       CheckIntervalMinutes, CreatedAt, State, MbamMigration, RotateBesideOthers, Revision, DeployedAt, RetiredAt
     FROM MPE_Policies ORDER BY CreatedAt, CONVERT(char(36), PolicyId);
     SELECT PolicyId, Position, Tag, State, Opens, FailureLimit, SoakMinutes, RotationsPerHour, OpenedAt,
       PausedAt, PauseReason
     FROM MPE_PolicyRings ORDER BY PolicyId, Position;`,
  );
  return policies.map((row) => ({
    policyId: guid(row, 'PolicyId'),
    name: text(row, 'Name'),
    mode: word(row, 'Mode', POLICY_MODES),
    targetTag: textOrNull(row, 'TargetTag'),
    storePackages: flag(row, 'StorePackages'),
    removableDrives: flag(row, 'RemovableDrives'),
    tpmOwnerAuth: flag(row, 'TpmOwnerAuth'),
    checkIntervalMinutes: integer(row, 'CheckIntervalMinutes'),
    createdAtMs: time(row, 'CreatedAt'),
    state: word(row, 'State', ['DRAFT', 'DEPLOYED', 'RETIRED'] as const),
    mbamMigration: flag(row, 'MbamMigration'),
    rotateBesideOthers: flag(row, 'RotateBesideOthers'),
    revision: integer(row, 'Revision'),
    deployedAtMs: timeOrNull(row, 'DeployedAt'),
    retiredAtMs: timeOrNull(row, 'RetiredAt'),
    rings: rings.filter((ring) => ring['PolicyId'] === row['PolicyId']).map(ringFromRow),
  }));
}

function ringFromRow(row: SqlRow): PolicyRing {
  return {
    position: integer(row, 'Position'),
    tag: text(row, 'Tag'),
    state: word(row, 'State', ['CLOSED', 'OPEN', 'PAUSED'] as const),
    opens: word(row, 'Opens', ['BY_HAND', 'AFTER_PREVIOUS'] as const),
    failureLimit: integer(row, 'FailureLimit'),
    soakMinutes: integer(row, 'SoakMinutes'),
    rotationsPerHour: integer(row, 'RotationsPerHour'),
    openedAtMs: timeOrNull(row, 'OpenedAt'),
    pausedAtMs: timeOrNull(row, 'PausedAt'),
    pauseReason: text(row, 'PauseReason'),
  };
}
