import type { RingCounts } from '../../policy-store.js';
import { guid, integer } from '../columns.js';
import { firstSet, type Session } from '../session.js';

/** The newest escrow of client `c`. */
const LAST_ESCROW = `
  SELECT TOP (1) o.Disposition, o.DecidedAt FROM MPE_Outcomes o
  WHERE o.ClientId = c.ClientId AND o.BodyType = 'ESCROW_RECOVERY_KEYS'
  ORDER BY o.Epoch DESC, o.Sequence DESC`;

/** Clients whose last word on an open rotation is that it failed, and when they said so. */
const FAILING = `
  SELECT t.ClientId, MAX(t.ReportedAt) AS ReportedAt FROM MPE_RotationRequests q
    JOIN MPE_RotationReports t ON t.RequestId = q.RequestId
  WHERE q.ClosedAt IS NULL AND t.Outcome = 'FAILED' AND NOT EXISTS (
    SELECT 1 FROM MPE_RotationReports n WHERE n.RequestId = t.RequestId AND n.ClientId = t.ClientId
      AND (n.Epoch > t.Epoch OR (n.Epoch = t.Epoch AND n.Sequence > t.Sequence)))
  GROUP BY t.ClientId`;

/**
 * How the rings of the deployed policies fare, in one statement. Only what came since a ring was
 * opened counts; a closed one has heard of nobody.
 */
export async function ringCounts(session: Session): Promise<RingCounts[]> {
  const sets = await session.query(
    `SELECT r.PolicyId, r.Position, COUNT(m.ClientId) AS Machines,
       SUM(CASE WHEN m.StateAt >= r.OpenedAt OR m.EscrowAt >= r.OpenedAt OR m.RotationAt >= r.OpenedAt
           THEN 1 ELSE 0 END) AS Heard,
       SUM(CASE WHEN (m.StateAt >= r.OpenedAt AND m.LastErrorCode IS NOT NULL)
             OR (m.EscrowAt >= r.OpenedAt AND m.Escrow = 0) OR m.RotationAt >= r.OpenedAt
           THEN 1 ELSE 0 END) AS Failed
     FROM MPE_PolicyRings r
       JOIN MPE_Policies p ON p.PolicyId = r.PolicyId AND p.State = 'DEPLOYED'
       LEFT JOIN (
         SELECT c.ClientId, c.Tag, s.ReportedAt AS StateAt, s.LastErrorCode, o.Disposition AS Escrow,
           o.DecidedAt AS EscrowAt, f.ReportedAt AS RotationAt
         FROM MPE_Clients c
           LEFT JOIN MPE_ClientStates s ON s.ClientId = c.ClientId
           LEFT JOIN (${FAILING}) f ON f.ClientId = c.ClientId
           OUTER APPLY (${LAST_ESCROW}) o
         WHERE c.State <> 'BLOCKED' AND NOT EXISTS (
           SELECT 1 FROM MPE_MachineEvents e WHERE e.ClientId = c.ClientId AND e.Event = 'MERGED')
           AND EXISTS (SELECT 1 FROM MPE_PolicyRings g WHERE g.Tag = c.Tag COLLATE Latin1_General_BIN2)) m
         ON m.Tag COLLATE Latin1_General_BIN2 = r.Tag
     GROUP BY r.PolicyId, r.Position ORDER BY r.PolicyId, r.Position`,
  );
  return firstSet(sets).map((row) => ({
    policyId: guid(row, 'PolicyId'),
    position: integer(row, 'Position'),
    machines: integer(row, 'Machines'),
    heard: integer(row, 'Heard'),
    failed: integer(row, 'Failed'),
  }));
}
