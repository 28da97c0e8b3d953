import { POLICY_MODES } from '../../../protocol/vocabulary.js';
import type { PolicyRing, PolicyRow } from '../../site-store.js';
import { flag, guid, integer, integerOrNull, text, textOrNull, word } from '../columns.js';
import type { Connection, SqlRow } from '../connection.js';

/** All policies with their rings, oldest first. */
export function readPolicies(c: Connection): PolicyRow[] {
  return c.snapshot(() => {
    const rings = c.all('SELECT * FROM MPE_PolicyRings ORDER BY PolicyId, Position');
    return c.all('SELECT * FROM MPE_Policies ORDER BY CreatedAt, PolicyId').map((row) => ({
      policyId: guid(row, 'PolicyId'),
      name: text(row, 'Name'),
      mode: word(row, 'Mode', POLICY_MODES),
      targetTag: textOrNull(row, 'TargetTag'),
      storePackages: flag(row, 'StorePackages'),
      removableDrives: flag(row, 'RemovableDrives'),
      tpmOwnerAuth: flag(row, 'TpmOwnerAuth'),
      checkIntervalMinutes: integer(row, 'CheckIntervalMinutes'),
      createdAtMs: integer(row, 'CreatedAt'),
      state: word(row, 'State', ['DRAFT', 'DEPLOYED', 'RETIRED'] as const),
      mbamMigration: flag(row, 'MbamMigration'),
      rotateBesideOthers: flag(row, 'RotateBesideOthers'),
      revision: integer(row, 'Revision'),
      deployedAtMs: integerOrNull(row, 'DeployedAt'),
      retiredAtMs: integerOrNull(row, 'RetiredAt'),
      rings: rings.filter((ring) => ring['PolicyId'] === row['PolicyId']).map(ringFromRow),
    }));
  });
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
    openedAtMs: integerOrNull(row, 'OpenedAt'),
    pausedAtMs: integerOrNull(row, 'PausedAt'),
    pauseReason: text(row, 'PauseReason'),
  };
}
