import type { RingCounts } from '../../policy-store.js';
import { guid, integer } from '../columns.js';
import type { Connection } from '../connection.js';

/**
 * How the rings of the deployed policies fare, in one statement. Only what came since a ring was
 * opened counts; a closed one has heard of nobody.
 */
export function ringCounts(c: Connection): RingCounts[] {
  return c
    .all(
      `WITH machines AS (
         SELECT r.PolicyId, r.Position, r.OpenedAt, c.ClientId, s.ReportedAt AS StateAt, s.LastErrorCode,
           (SELECT o.Disposition FROM MPE_Outcomes o
            WHERE o.ClientId = c.ClientId AND o.BodyType = 'ESCROW_RECOVERY_KEYS'
            ORDER BY o.Epoch DESC, o.Sequence DESC LIMIT 1) AS Escrow,
           (SELECT o.DecidedAt FROM MPE_Outcomes o
            WHERE o.ClientId = c.ClientId AND o.BodyType = 'ESCROW_RECOVERY_KEYS'
            ORDER BY o.Epoch DESC, o.Sequence DESC LIMIT 1) AS EscrowAt,
           EXISTS (SELECT 1 FROM failing f WHERE f.ClientId = c.ClientId AND f.ReportedAt >= r.OpenedAt) AS Rotation
         FROM MPE_PolicyRings r
           JOIN MPE_Policies p ON p.PolicyId = r.PolicyId AND p.State = 'DEPLOYED'
           JOIN MPE_Clients c ON c.Tag = r.Tag AND c.State <> 'BLOCKED'
           LEFT JOIN MPE_ClientStates s ON s.ClientId = c.ClientId
         WHERE NOT EXISTS (SELECT 1 FROM MPE_MachineEvents e WHERE e.ClientId = c.ClientId AND e.Event = 'MERGED')),
       failing AS (
         SELECT t.ClientId, t.ReportedAt FROM MPE_RotationRequests q
           JOIN MPE_RotationReports t ON t.RequestId = q.RequestId
         WHERE q.ClosedAt IS NULL AND t.Outcome = 'FAILED' AND NOT EXISTS (
           SELECT 1 FROM MPE_RotationReports n WHERE n.RequestId = t.RequestId AND n.ClientId = t.ClientId
             AND (n.Epoch, n.Sequence) > (t.Epoch, t.Sequence)))
       SELECT r.PolicyId, r.Position, count(m.ClientId) AS Machines,
         coalesce(sum(m.StateAt >= r.OpenedAt OR m.EscrowAt >= r.OpenedAt OR m.Rotation), 0) AS Heard,
         coalesce(sum((m.StateAt >= r.OpenedAt AND m.LastErrorCode IS NOT NULL)
           OR (m.EscrowAt >= r.OpenedAt AND m.Escrow = 0) OR m.Rotation), 0) AS Failed
       FROM MPE_PolicyRings r
         JOIN MPE_Policies p ON p.PolicyId = r.PolicyId AND p.State = 'DEPLOYED'
         LEFT JOIN machines m ON m.PolicyId = r.PolicyId AND m.Position = r.Position
       GROUP BY r.PolicyId, r.Position ORDER BY r.PolicyId, r.Position`,
    )
    .map((row) => ({
      policyId: guid(row, 'PolicyId'),
      position: integer(row, 'Position'),
      machines: integer(row, 'Machines'),
      heard: integer(row, 'Heard'),
      failed: integer(row, 'Failed'),
    }));
}
