import type { PolicyEventRow } from '../../policy-store.js';
import type { PolicyRow } from '../../site-store.js';
import type { Connection } from '../connection.js';

const bit = (value: boolean): number => (value ? 1 : 0);

/** Adds a policy with its rings. The caller has the transaction. */
export function insertPolicy(c: Connection, policy: PolicyRow): void {
  c.run(
    `INSERT INTO MPE_Policies (PolicyId, Name, Mode, TargetTag, StorePackages, RemovableDrives,
       TpmOwnerAuth, CheckIntervalMinutes, CreatedAt, State, MbamMigration, RotateBesideOthers, Revision,
       DeployedAt, RetiredAt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    policy.policyId,
    policy.name,
    policy.mode,
    policy.targetTag,
    bit(policy.storePackages),
    bit(policy.removableDrives),
    bit(policy.tpmOwnerAuth),
    policy.checkIntervalMinutes,
    policy.createdAtMs,
    policy.state,
    bit(policy.mbamMigration),
    bit(policy.rotateBesideOthers),
    policy.revision,
    policy.deployedAtMs,
    policy.retiredAtMs,
  );
  insertRings(c, policy);
}

function insertRings(c: Connection, { policyId, rings }: PolicyRow): void {
  for (const ring of rings) {
    c.run(
      `INSERT INTO MPE_PolicyRings (PolicyId, Position, Tag, State, Opens, FailureLimit, SoakMinutes,
         RotationsPerHour, OpenedAt, PausedAt, PauseReason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      policyId,
      ring.position,
      ring.tag,
      ring.state,
      ring.opens,
      ring.failureLimit,
      ring.soakMinutes,
      ring.rotationsPerHour,
      ring.openedAtMs,
      ring.pausedAtMs,
      ring.pauseReason,
    );
  }
}

/** Writes a revision of a policy and its event; false where the revision is another's. */
export function savePolicy(
  c: Connection,
  policy: PolicyRow,
  event: Omit<PolicyEventRow, 'policyId' | 'revision'>,
): boolean {
  return c.immediate(() => {
    const stored = c.get('SELECT Revision FROM MPE_Policies WHERE PolicyId = ?', policy.policyId);
    const before = stored === undefined ? 0 : Number(stored['Revision']);
    if (before !== policy.revision - 1) return false;
    if (stored === undefined) insertPolicy(c, policy);
    else updatePolicy(c, policy);
    c.run(
      `INSERT INTO MPE_PolicyEvents (PolicyId, Revision, Event, Detail, HappenedAt, DoneBy)
       VALUES (?, ?, ?, ?, ?, ?)`,
      policy.policyId,
      policy.revision,
      event.event,
      event.detail,
      event.atMs,
      event.by,
    );
    return true;
  });
}

function updatePolicy(c: Connection, policy: PolicyRow): void {
  c.run(
    `UPDATE MPE_Policies SET Name = ?, Mode = ?, TargetTag = ?, StorePackages = ?, RemovableDrives = ?,
       TpmOwnerAuth = ?, CheckIntervalMinutes = ?, State = ?, MbamMigration = ?, RotateBesideOthers = ?,
       Revision = ?, DeployedAt = ?, RetiredAt = ? WHERE PolicyId = ?`,
    policy.name,
    policy.mode,
    policy.targetTag,
    bit(policy.storePackages),
    bit(policy.removableDrives),
    bit(policy.tpmOwnerAuth),
    policy.checkIntervalMinutes,
    policy.state,
    bit(policy.mbamMigration),
    bit(policy.rotateBesideOthers),
    policy.revision,
    policy.deployedAtMs,
    policy.retiredAtMs,
    policy.policyId,
  );
  c.run('DELETE FROM MPE_PolicyRings WHERE PolicyId = ?', policy.policyId);
  insertRings(c, policy);
}
