import type { Guid } from '../../../protocol/guid.js';
import type { AuditWrite, AuditWritten, IncidentRow } from '../../disclosure-store.js';
import { guid, integer, integerOrNull, text, textOrNull } from '../columns.js';
import type { Connection, SqlRow } from '../connection.js';
import { appendAudit } from './write-audit.js';

/** Writes an incident that waits for its second person. */
export function proposeIncident(c: Connection, incident: IncidentRow, audit: AuditWrite): AuditWritten {
  return c.immediate(() =>
    appendAudit(c, audit, () => {
      c.run(
        `INSERT INTO MPE_Incidents (IncidentId, Title, LastsMinutes, RotationsPerHour, ProposedBy, ProposedAt)
         VALUES (?, ?, ?, ?, ?, ?)`,
        ...[incident.incidentId, incident.title, incident.lastsMinutes, incident.rotationsPerHour],
        ...[incident.proposedBy, incident.proposedAtMs],
      );
      c.run(
        'INSERT INTO MPE_IncidentMachines (IncidentId, ClientId) SELECT ?, value FROM json_each(?)',
        incident.incidentId,
        JSON.stringify(incident.machines),
      );
    }),
  );
}

/** Confirms one that waits, by somebody else; null: there is nothing to confirm for this person. */
export function confirmIncident(
  c: Connection,
  incidentId: Guid,
  confirmation: { readonly by: string; readonly atMs: number; readonly endsAtMs: number },
  audit: AuditWrite,
): AuditWritten | null {
  return c.immediate(() => {
    const { by, atMs, endsAtMs } = confirmation;
    const changed = c.run(
      `UPDATE MPE_Incidents SET ConfirmedBy = ?2, ConfirmedAt = ?3, EndsAt = ?4
       WHERE IncidentId = ?1 AND ConfirmedBy IS NULL AND EndedAt IS NULL AND ProposedBy <> ?2`,
      ...[incidentId, by, atMs, endsAtMs],
    );
    if (changed === 0) return null;
    return appendAudit(c, audit);
  });
}

/** Ends one that has not ended; null: it has. */
export function endIncident(
  c: Connection,
  incidentId: Guid,
  end: { readonly by: string; readonly atMs: number },
  audit: AuditWrite,
): AuditWritten | null {
  return c.immediate(() => {
    const changed = c.run(
      `UPDATE MPE_Incidents SET EndedBy = ?2, EndedAt = ?3
       WHERE IncidentId = ?1 AND EndedAt IS NULL AND (EndsAt IS NULL OR EndsAt > ?3)`,
      ...[incidentId, end.by, end.atMs],
    );
    return changed === 0 ? null : appendAudit(c, audit);
  });
}

/** One incident with its machines, or null. */
export function readIncident(c: Connection, incidentId: Guid): IncidentRow | null {
  const row = c.get('SELECT * FROM MPE_Incidents WHERE IncidentId = ?', incidentId);
  return row === undefined ? null : incidentOf(c, row);
}

/** Incidents, the newest first. */
export function readIncidents(c: Connection, limit: number): IncidentRow[] {
  return c
    .all('SELECT * FROM MPE_Incidents ORDER BY ProposedAt DESC, IncidentId LIMIT ?', limit)
    .map((row) => incidentOf(c, row));
}

/** Those that are confirmed and not over. */
export function openIncidents(c: Connection, atMs: number): Guid[] {
  return c
    .all(
      `SELECT IncidentId FROM MPE_Incidents
       WHERE ConfirmedAt <= ?1 AND EndsAt > ?1 AND EndedAt IS NULL ORDER BY IncidentId`,
      atMs,
    )
    .map((row) => guid(row, 'IncidentId'));
}

/** Those of the clients that are in an incident which is confirmed and not over. */
export function inIncident(c: Connection, clientIds: readonly Guid[], atMs: number): Guid[] {
  return c
    .all(
      `SELECT DISTINCT m.ClientId FROM MPE_IncidentMachines m JOIN MPE_Incidents i ON i.IncidentId = m.IncidentId
       WHERE m.ClientId IN (SELECT value FROM json_each(?1))
         AND i.ConfirmedAt <= ?2 AND i.EndsAt > ?2 AND i.EndedAt IS NULL`,
      JSON.stringify(clientIds),
      atMs,
    )
    .map((row) => guid(row, 'ClientId'));
}

function incidentOf(c: Connection, row: SqlRow): IncidentRow {
  const incidentId = guid(row, 'IncidentId');
  return {
    incidentId,
    title: text(row, 'Title'),
    lastsMinutes: integer(row, 'LastsMinutes'),
    rotationsPerHour: integer(row, 'RotationsPerHour'),
    proposedBy: text(row, 'ProposedBy'),
    proposedAtMs: integer(row, 'ProposedAt'),
    confirmedBy: textOrNull(row, 'ConfirmedBy'),
    confirmedAtMs: integerOrNull(row, 'ConfirmedAt'),
    endsAtMs: integerOrNull(row, 'EndsAt'),
    endedBy: textOrNull(row, 'EndedBy'),
    endedAtMs: integerOrNull(row, 'EndedAt'),
    machines: c
      .all('SELECT ClientId FROM MPE_IncidentMachines WHERE IncidentId = ? ORDER BY ClientId', incidentId)
      .map((machine) => guid(machine, 'ClientId')),
  };
}
