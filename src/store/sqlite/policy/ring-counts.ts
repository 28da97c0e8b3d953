import type { Guid } from '../../../protocol/guid.js';
import type { RingCounts } from '../../policy-store.js';
import { flag, guid, integer, integerOrNull, text } from '../columns.js';
import type { Connection } from '../connection.js';
import { retryBusy } from '../retry-busy.js';

/** Machines of one page; a page holds the event loop for some milliseconds. */
export const RING_PAGE = 1000;

/** A ring of a deployed policy, with what is counted of it. */
interface Ring {
  readonly policyId: Guid;
  readonly position: number;
  readonly tag: string;
  readonly openedAtMs: number | null;
  machines: number;
  heard: number;
  failed: number;
}

/**
 * How the rings of the deployed policies fare. Only what came since a ring was opened counts; a closed
 * one has heard of nobody. Page by page, each of its own moment: others get their turn in between.
 */
export async function ringCounts(c: Connection): Promise<RingCounts[]> {
  const rings = await retryBusy('counting rings', () => deployedRings(c));
  for (const tag of new Set(rings.map((ring) => ring.tag))) {
    const own = rings.filter((ring) => ring.tag === tag);
    for (let after: number | null = 0; after !== null;) {
      const from: number = after;
      const machines = await retryBusy('counting rings', () => machinesOfTag(c, tag, from));
      for (const machine of machines) for (const ring of own) count(ring, machine);
      after = machines.length < RING_PAGE ? null : (machines.at(-1)?.place ?? null);
      await new Promise((resume) => setImmediate(resume));
    }
  }
  return rings.map(({ policyId, position, machines, heard, failed }) => ({
    ...{ policyId, position, machines, heard, failed },
  }));
}

function deployedRings(c: Connection): Ring[] {
  return c
    .all(
      `SELECT r.PolicyId, r.Position, r.Tag, r.OpenedAt
       FROM MPE_PolicyRings r JOIN MPE_Policies p ON p.PolicyId = r.PolicyId AND p.State = 'DEPLOYED'
       ORDER BY r.PolicyId, r.Position`,
    )
    .map((row) => ({
      policyId: guid(row, 'PolicyId'),
      position: integer(row, 'Position'),
      tag: text(row, 'Tag'),
      openedAtMs: integerOrNull(row, 'OpenedAt'),
      ...{ machines: 0, heard: 0, failed: 0 },
    }));
}

/** What a machine last said, each with its time; null: nothing. */
interface Machine {
  /** Of its row: where the next page begins. */
  readonly place: number;
  readonly stateAtMs: number | null;
  readonly hasError: boolean;
  readonly escrowAtMs: number | null;
  readonly escrowRefused: boolean;
  /** Its last word on an open rotation is that it failed. */
  readonly rotationFailedAtMs: number | null;
}

function count(ring: Ring, machine: Machine): void {
  const since = (atMs: number | null): boolean =>
    atMs !== null && ring.openedAtMs !== null && atMs >= ring.openedAtMs;
  const rotation = since(machine.rotationFailedAtMs);
  const state = since(machine.stateAtMs);
  const escrow = since(machine.escrowAtMs);
  ring.machines += 1;
  if (state || escrow || rotation) ring.heard += 1;
  if ((state && machine.hasError) || (escrow && machine.escrowRefused) || rotation) ring.failed += 1;
}

function machinesOfTag(c: Connection, tag: string, after: number): Machine[] {
  return c.all(MACHINES, tag, after, RING_PAGE).map((row) => ({
    place: integer(row, 'Place'),
    stateAtMs: integerOrNull(row, 'StateAt'),
    hasError: flag(row, 'HasError'),
    escrowAtMs: integerOrNull(row, 'EscrowAt'),
    escrowRefused: flag(row, 'EscrowRefused'),
    rotationFailedAtMs: integerOrNull(row, 'RotationAt'),
  }));
}

const MACHINES = `
  SELECT c.rowid AS Place, s.ReportedAt AS StateAt, s.LastErrorCode IS NOT NULL AS HasError,
    o.DecidedAt AS EscrowAt, coalesce(o.Disposition = 0, 0) AS EscrowRefused,
    (SELECT max(t.ReportedAt) FROM MPE_RotationReports t
     WHERE t.ClientId = c.ClientId AND t.Outcome = 'FAILED'
       AND EXISTS (SELECT 1 FROM MPE_RotationRequests q WHERE q.RequestId = t.RequestId AND q.ClosedAt IS NULL)
       AND NOT EXISTS (SELECT 1 FROM MPE_RotationReports n
                       WHERE n.RequestId = t.RequestId AND n.ClientId = t.ClientId
                         AND (n.Epoch, n.Sequence) > (t.Epoch, t.Sequence))) AS RotationAt
  FROM MPE_Clients c
    LEFT JOIN MPE_ClientStates s ON s.ClientId = c.ClientId
    LEFT JOIN MPE_Outcomes o ON o.rowid = (
      SELECT x.rowid FROM MPE_Outcomes x WHERE x.ClientId = c.ClientId AND x.BodyType = 'ESCROW_RECOVERY_KEYS'
      ORDER BY x.Epoch DESC, x.Sequence DESC LIMIT 1)
  WHERE c.Tag = ?1 AND c.rowid > ?2 AND c.State <> 'BLOCKED'
    AND NOT EXISTS (SELECT 1 FROM MPE_MachineEvents e WHERE e.ClientId = c.ClientId AND e.Event = 'MERGED')
  ORDER BY c.rowid LIMIT ?3`;
