import type { PolicyEventRow } from '../../policy-store.js';
import type { PolicyRow } from '../../site-store.js';
import type { Connection } from '../connection.js';
import { isUniqueViolation } from '../errors.js';
import { jsonText, textOfJson } from '../json-text.js';
import {
  flagOf,
  guidOf,
  intOf,
  rowsOf,
  sqlTime,
  textOf,
  timeOf,
  wordOf,
  type SqlParameters,
} from '../parameters.js';
import { firstRow, type Session } from '../session.js';
import { integer } from '../columns.js';

/** Adds a policy with its rings. The caller has the transaction. */
export async function insertPolicy(tx: Session, policy: PolicyRow): Promise<void> {
  await tx.query(
    `INSERT INTO MPE_Policies (PolicyId, Name, Mode, TargetTag, StorePackages, RemovableDrives,
       TpmOwnerAuth, CheckIntervalMinutes, CreatedAt, State, MbamMigration, RotateBesideOthers, Revision,
       DeployedAt, RetiredAt)
     VALUES (@policyId, @name, @mode, @targetTag, @storePackages, @removableDrives, @tpmOwnerAuth, @interval,
       @createdAt, @state, @mbamMigration, @rotateBesideOthers, @revision, @deployedAt, @retiredAt)`,
    columns(policy),
  );
  await insertRings(tx, policy);
}

function columns(policy: PolicyRow): SqlParameters {
  return {
    policyId: guidOf(policy.policyId),
    name: textOf(policy.name),
    mode: wordOf(policy.mode),
    targetTag: textOf(policy.targetTag),
    storePackages: flagOf(policy.storePackages),
    removableDrives: flagOf(policy.removableDrives),
    tpmOwnerAuth: flagOf(policy.tpmOwnerAuth),
    interval: intOf(policy.checkIntervalMinutes),
    createdAt: timeOf(policy.createdAtMs),
    state: wordOf(policy.state),
    mbamMigration: flagOf(policy.mbamMigration),
    rotateBesideOthers: flagOf(policy.rotateBesideOthers),
    revision: intOf(policy.revision),
    deployedAt: timeOf(policy.deployedAtMs),
    retiredAt: timeOf(policy.retiredAtMs),
  };
}

async function insertRings(tx: Session, { policyId, rings }: PolicyRow): Promise<void> {
  if (rings.length === 0) return;
  await tx.query(
    `INSERT INTO MPE_PolicyRings (PolicyId, Position, Tag, State, Opens, FailureLimit, SoakMinutes,
       RotationsPerHour, OpenedAt, PausedAt, PauseReason)
     SELECT @policyId, j.Position, j.Tag, j.State, j.Opens, j.FailureLimit, j.SoakMinutes,
       j.RotationsPerHour, j.OpenedAt, j.PausedAt, ${textOfJson('j.PauseReason')}
     FROM OPENJSON(@rings) WITH (Position int '$.Position', Tag nvarchar(256) '$.Tag',
       State varchar(64) '$.State', Opens varchar(64) '$.Opens', FailureLimit int '$.FailureLimit',
       SoakMinutes int '$.SoakMinutes', RotationsPerHour int '$.RotationsPerHour',
       OpenedAt datetime2(3) '$.OpenedAt', PausedAt datetime2(3) '$.PausedAt',
       PauseReason nvarchar(1024) '$.PauseReason') j`,
    {
      policyId: guidOf(policyId),
      rings: rowsOf(
        rings.map((ring) => ({
          Position: ring.position,
          Tag: ring.tag,
          State: ring.state,
          Opens: ring.opens,
          FailureLimit: ring.failureLimit,
          SoakMinutes: ring.soakMinutes,
          RotationsPerHour: ring.rotationsPerHour,
          OpenedAt: ring.openedAtMs === null ? null : sqlTime(ring.openedAtMs),
          PausedAt: ring.pausedAtMs === null ? null : sqlTime(ring.pausedAtMs),
          PauseReason: jsonText(ring.pauseReason),
        })),
      ),
    },
  );
}

/**
 * Writes a revision of a policy and its event; false where the revision is another's. Of two that
 * write at once the event's primary key lets one in, whatever each has read.
 */
export async function savePolicy(
  connection: Connection,
  policy: PolicyRow,
  event: Omit<PolicyEventRow, 'policyId' | 'revision'>,
): Promise<boolean> {
  try {
    return await connection.transaction(async (tx) => {
      const stored = firstRow(
        await tx.query('SELECT Revision FROM MPE_Policies WHERE PolicyId = @policyId', {
          policyId: guidOf(policy.policyId),
        }),
      );
      if ((stored === undefined ? 0 : integer(stored, 'Revision')) !== policy.revision - 1) return false;
      if (stored === undefined) await insertPolicy(tx, policy);
      await insertEvent(tx, policy, event);
      if (stored !== undefined) await updatePolicy(tx, policy);
      return true;
    });
  } catch (error) {
    if (isUniqueViolation(error)) return false;
    throw error;
  }
}

async function insertEvent(
  tx: Session,
  policy: PolicyRow,
  event: Omit<PolicyEventRow, 'policyId' | 'revision'>,
): Promise<void> {
  await tx.query(
    `INSERT INTO MPE_PolicyEvents (PolicyId, Revision, Event, Detail, HappenedAt, DoneBy)
     VALUES (@policyId, @revision, @event, @detail, @at, @by)`,
    {
      policyId: guidOf(policy.policyId),
      revision: intOf(policy.revision),
      event: wordOf(event.event),
      detail: textOf(event.detail),
      at: timeOf(event.atMs),
      by: textOf(event.by),
    },
  );
}

async function updatePolicy(tx: Session, policy: PolicyRow): Promise<void> {
  await tx.query(
    `UPDATE MPE_Policies SET Name = @name, Mode = @mode, TargetTag = @targetTag, StorePackages = @storePackages,
       RemovableDrives = @removableDrives, TpmOwnerAuth = @tpmOwnerAuth, CheckIntervalMinutes = @interval,
       State = @state, MbamMigration = @mbamMigration, RotateBesideOthers = @rotateBesideOthers,
       Revision = @revision, DeployedAt = @deployedAt, RetiredAt = @retiredAt
     WHERE PolicyId = @policyId;
     DELETE FROM MPE_PolicyRings WHERE PolicyId = @policyId;`,
    columns(policy),
  );
  await insertRings(tx, policy);
}
