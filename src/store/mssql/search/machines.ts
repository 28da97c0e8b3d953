import type { Guid } from '../../../protocol/guid.js';
import { FIRST_MACHINE_NUMBER, type NamedAccount, type SearchedMachine } from '../../search-store.js';
import { again } from '../again.js';
import { guid, integer, text, timeOrNull } from '../columns.js';
import { intOf, rowsOf, textOf } from '../parameters.js';
import { firstRow, firstSet, type Session, type SqlRow } from '../session.js';
import { MACHINES_NAMED, MACHINES_OF_USERS, usersOf } from './search-keys.js';

const COLUMNS = `m.Id AS ClientId, m.Name, m.DomainName,
  (SELECT s.ReportedAt FROM MPE_ClientStates s WHERE s.ClientId = m.Id) AS ReportedAt`;

/** Machines that one of these signed in to locally. */
export async function machinesOf(
  session: Session,
  users: readonly NamedAccount[],
  limit: number,
): Promise<SearchedMachine[]> {
  const sets = await session.query(
    `SELECT TOP (@limit) ${COLUMNS} FROM RecoveryAndHardwareCore_Machines m
     WHERE m.Id IN (${MACHINES_OF_USERS}) ORDER BY m.Name, CONVERT(char(36), m.Id)`,
    { users: usersOf(users), limit: intOf(limit) },
  );
  return firstSet(sets).map(machineOf);
}

/** Machines that call themselves so, in whatever domain. */
export async function machinesNamed(
  session: Session,
  name: string,
  limit: number,
): Promise<SearchedMachine[]> {
  const sets = await session.query(
    `SELECT TOP (@limit) ${COLUMNS} FROM RecoveryAndHardwareCore_Machines m
     WHERE m.Id IN (${MACHINES_NAMED}) AND m.Name = @machine
     ORDER BY m.DomainName, CONVERT(char(36), m.Id)`,
    { machine: textOf(name), limit: intOf(limit) },
  );
  return firstSet(sets).map(machineOf);
}

/** A machine by its number. */
export async function machineByNumber(session: Session, number: number): Promise<SearchedMachine | null> {
  const row = firstRow(
    await session.query(
      `SELECT ${COLUMNS} FROM RecoveryAndHardwareCore_Machines m
       WHERE m.Id IN (SELECT n.ClientId FROM MPE_MachineNumbers n WHERE n.Number = @number)`,
      { number: intOf(number) },
    ),
  );
  return row === undefined ? null : machineOf(row);
}

const IDS = `OPENJSON(@ids) WITH (ClientId uniqueidentifier '$.id') i`;

/** Gives numbers to those that have none; of two that give the same number at once, one does it again. */
export async function numberMachines(session: Session, clientIds: readonly Guid[]): Promise<number[]> {
  const sets = await again('numbering machines', () =>
    session.query(
      `INSERT INTO MPE_MachineNumbers (ClientId, Number)
       SELECT d.ClientId, COALESCE((SELECT MAX(x.Number) FROM MPE_MachineNumbers x), @first - 1)
         + ROW_NUMBER() OVER (ORDER BY CONVERT(char(36), d.ClientId))
       FROM (SELECT DISTINCT i.ClientId FROM ${IDS}) d
       WHERE NOT EXISTS (SELECT 1 FROM MPE_MachineNumbers n WHERE n.ClientId = d.ClientId);
       SELECT n.ClientId, n.Number FROM MPE_MachineNumbers n WHERE n.ClientId IN (SELECT i.ClientId FROM ${IDS});`,
      { ids: rowsOf([...new Set(clientIds)].map((id) => ({ id }))), first: intOf(FIRST_MACHINE_NUMBER) },
    ),
  );
  const numbers = new Map(firstSet(sets).map((row) => [guid(row, 'ClientId'), integer(row, 'Number')]));
  return clientIds.map((id) => numbers.get(id) ?? 0);
}

function machineOf(row: SqlRow): SearchedMachine {
  return {
    clientId: guid(row, 'ClientId'),
    machineName: text(row, 'Name'),
    domain: text(row, 'DomainName'),
    reportedAtMs: timeOrNull(row, 'ReportedAt'),
  };
}
