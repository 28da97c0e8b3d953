import type { Guid } from '../../../protocol/guid.js';
import type { AuditWrite, AuditWritten, IncidentRow } from '../../disclosure-store.js';
import { guid, integer, text, textOrNull, time, timeOrNull } from '../columns.js';
import type { Connection } from '../connection.js';
import { guidOf, intOf, rowsOf, textOf, timeOf } from '../parameters.js';
import { firstRow, firstSet, type Session, type SqlRow } from '../session.js';
import { auditTransaction } from './audit-transaction.js';
import { appendAudit, limited } from './write-audit.js';

/** Writes an incident that waits for its second person. */
export function proposeIncident(
  connection: Connection,
  incident: IncidentRow,
  audit: AuditWrite,
): Promise<AuditWritten> {
  return limited(() =>
    auditTransaction(connection, audit.withinMs, async (tx) => {
      const written = await appendAudit(tx, audit);
      await tx.query(
        `INSERT INTO MPE_Incidents (IncidentId, Title, LastsMinutes, RotationsPerHour, ProposedBy, ProposedAt)
         VALUES (@id, @title, @lasts, @pace, @by, @at);
         INSERT INTO MPE_IncidentMachines (IncidentId, ClientId)
         SELECT @id, j.ClientId FROM OPENJSON(@machines) WITH (ClientId uniqueidentifier '$.ClientId') j
         ORDER BY j.ClientId;`,
        {
          ...{
            id: guidOf(incident.incidentId),
            title: textOf(incident.title),
            by: textOf(incident.proposedBy),
          },
          ...{ lasts: intOf(incident.lastsMinutes), pace: intOf(incident.rotationsPerHour) },
          ...{
            at: timeOf(incident.proposedAtMs),
            machines: rowsOf(incident.machines.map((one) => ({ ClientId: one }))),
          },
        },
      );
      return written;
    }),
  );
}

/** Whether the last update of the incident is this one, by its person and time. The row is locked until the end. */
async function changed(
  tx: Session,
  sql: string,
  change: {
    readonly incidentId: Guid;
    readonly by: string;
    readonly atMs: number;
    readonly endsAtMs?: number;
  },
): Promise<boolean> {
  const row = firstRow(
    await tx.query(sql, {
      ...{ id: guidOf(change.incidentId), by: textOf(change.by), at: timeOf(change.atMs) },
      ...(change.endsAtMs === undefined ? {} : { endsAt: timeOf(change.endsAtMs) }),
    }),
  );
  return row !== undefined && integer(row, 'Changed') === 1;
}

/** Confirms one that waits, by somebody else; null: there is nothing to confirm for this person. */
export function confirmIncident(
  connection: Connection,
  incidentId: Guid,
  confirmation: { readonly by: string; readonly atMs: number; readonly endsAtMs: number },
  audit: AuditWrite,
): Promise<AuditWritten | null> {
  return limited(() =>
    auditTransaction(connection, audit.withinMs, async (tx) => {
      const sql = `
        UPDATE MPE_Incidents SET ConfirmedBy = @by, ConfirmedAt = @at, EndsAt = @endsAt
        WHERE IncidentId = @id AND ConfirmedBy IS NULL AND EndedAt IS NULL AND ProposedBy <> @by;
        SELECT COUNT(*) AS Changed FROM MPE_Incidents
        WHERE IncidentId = @id AND ConfirmedBy = @by AND ConfirmedAt = @at AND EndedAt IS NULL;`;
      return (await changed(tx, sql, { incidentId, ...confirmation })) ? appendAudit(tx, audit) : null;
    }),
  );
}

/** Ends one that has not ended; null: it has. */
export function endIncident(
  connection: Connection,
  incidentId: Guid,
  end: { readonly by: string; readonly atMs: number },
  audit: AuditWrite,
): Promise<AuditWritten | null> {
  return limited(() =>
    auditTransaction(connection, audit.withinMs, async (tx) => {
      const sql = `
        UPDATE MPE_Incidents SET EndedBy = @by, EndedAt = @at
        WHERE IncidentId = @id AND EndedAt IS NULL AND (EndsAt IS NULL OR EndsAt > @at);
        SELECT COUNT(*) AS Changed FROM MPE_Incidents WHERE IncidentId = @id AND EndedBy = @by AND EndedAt = @at;`;
      return (await changed(tx, sql, { incidentId, ...end })) ? appendAudit(tx, audit) : null;
    }),
  );
}

const COLUMNS = `IncidentId, Title, LastsMinutes, RotationsPerHour, ProposedBy, ProposedAt, ConfirmedBy, ConfirmedAt,
  EndsAt, EndedBy, EndedAt`;

/** One incident with its machines, or null. */
export async function readIncident(session: Session, incidentId: Guid): Promise<IncidentRow | null> {
  const [incidents = [], machines = []] = await session.query(
    `SELECT ${COLUMNS} FROM MPE_Incidents WHERE IncidentId = @id;
     SELECT IncidentId, ClientId FROM MPE_IncidentMachines WHERE IncidentId = @id;`,
    { id: guidOf(incidentId) },
  );
  return incidents[0] === undefined ? null : incidentOf(incidents[0], machines);
}

/** Incidents, the newest first. */
export async function readIncidents(session: Session, limit: number): Promise<IncidentRow[]> {
  const rows = firstSet(
    await session.query(
      `SELECT TOP (@limit) ${COLUMNS} FROM MPE_Incidents ORDER BY ProposedAt DESC, IncidentId`,
      {
        limit: intOf(limit),
      },
    ),
  );
  if (rows.length === 0) return [];
  const machines = firstSet(
    await session.query(
      `SELECT m.IncidentId, m.ClientId FROM MPE_IncidentMachines m
       WHERE m.IncidentId IN (SELECT j.Id FROM OPENJSON(@ids) WITH (Id uniqueidentifier '$.Id') j)`,
      { ids: rowsOf(rows.map((row) => ({ Id: guid(row, 'IncidentId') }))) },
    ),
  );
  return rows.map((row) => incidentOf(row, machines));
}

/** Those that are confirmed and not over. */
export async function openIncidents(session: Session, atMs: number): Promise<Guid[]> {
  const sets = await session.query(
    `SELECT IncidentId FROM MPE_Incidents
     WHERE ConfirmedAt <= @at AND EndsAt > @at AND EndedAt IS NULL`,
    { at: timeOf(atMs) },
  );
  return firstSet(sets)
    .map((row) => guid(row, 'IncidentId'))
    .sort();
}

/** Those of the clients that are in an incident which is confirmed and not over. */
export async function inIncident(
  session: Session,
  clientIds: readonly Guid[],
  atMs: number,
): Promise<Guid[]> {
  const sets = await session.query(
    `SELECT DISTINCT m.ClientId FROM MPE_IncidentMachines m JOIN MPE_Incidents i ON i.IncidentId = m.IncidentId
     WHERE m.ClientId IN (SELECT j.Id FROM OPENJSON(@ids) WITH (Id uniqueidentifier '$.Id') j)
       AND i.ConfirmedAt <= @at AND i.EndsAt > @at AND i.EndedAt IS NULL`,
    { ids: rowsOf(clientIds.map((one) => ({ Id: one }))), at: timeOf(atMs) },
  );
  return firstSet(sets).map((row) => guid(row, 'ClientId'));
}

function incidentOf(row: SqlRow, machines: readonly SqlRow[]): IncidentRow {
  const incidentId = guid(row, 'IncidentId');
  return {
    incidentId,
    title: text(row, 'Title'),
    lastsMinutes: integer(row, 'LastsMinutes'),
    rotationsPerHour: integer(row, 'RotationsPerHour'),
    proposedBy: text(row, 'ProposedBy'),
    proposedAtMs: time(row, 'ProposedAt'),
    confirmedBy: textOrNull(row, 'ConfirmedBy'),
    confirmedAtMs: timeOrNull(row, 'ConfirmedAt'),
    endsAtMs: timeOrNull(row, 'EndsAt'),
    endedBy: textOrNull(row, 'EndedBy'),
    endedAtMs: timeOrNull(row, 'EndedAt'),
    machines: machines
      .filter((machine) => guid(machine, 'IncidentId') === incidentId)
      .map((machine) => guid(machine, 'ClientId'))
      .sort(),
  };
}
