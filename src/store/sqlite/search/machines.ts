import type { Guid } from '../../../protocol/guid.js';
import { FIRST_MACHINE_NUMBER, type NamedAccount, type SearchedMachine } from '../../search-store.js';
import { guid, integer, integerOrNull, text } from '../columns.js';
import type { Connection, SqlRow } from '../connection.js';
import { usersJson } from './search-keys.js';

const MACHINE = `SELECT m.Id AS ClientId, m.Name, m.DomainName,
    (SELECT s.ReportedAt FROM MPE_ClientStates s WHERE s.ClientId = m.Id) AS ReportedAt
  FROM RecoveryAndHardwareCore_Machines m`;

/** Machines that one of these signed in to locally. */
export function machinesOf(c: Connection, users: readonly NamedAccount[], limit: number): SearchedMachine[] {
  return c
    .all(
      `${MACHINE} WHERE m.Id IN (
         SELECT u.ClientId FROM json_each(?1) j CROSS JOIN MPE_ClientUsers u
           ON u.Name = j.value ->> 'a' COLLATE NOCASE AND (j.value ->> 'd' IS NULL OR u.Domain = j.value ->> 'd' COLLATE NOCASE))
       ORDER BY m.Name, m.Id LIMIT ?2`,
      usersJson(users),
      limit,
    )
    .map(machineOf);
}

/** Machines that call themselves so, in whatever domain. */
export function machinesNamed(c: Connection, name: string, limit: number): SearchedMachine[] {
  return c
    .all(
      `${MACHINE} WHERE m.Id IN (
         SELECT ClientId FROM MPE_ClientStates WHERE MachineName = ?1 COLLATE NOCASE
         UNION SELECT ClientId FROM MPE_Clients WHERE MachineName = ?1 COLLATE NOCASE)
       AND m.Name = ?1 COLLATE NOCASE
       ORDER BY m.DomainName, m.Id LIMIT ?2`,
      name,
      limit,
    )
    .map(machineOf);
}

/** A machine by its number. */
export function machineByNumber(c: Connection, number: number): SearchedMachine | null {
  const row = c.get(
    `${MACHINE} WHERE m.Id = (SELECT n.ClientId FROM MPE_MachineNumbers n WHERE n.Number = ?)`,
    number,
  );
  return row === undefined ? null : machineOf(row);
}

/** Gives numbers to those that have none; the numbers in the order given. */
export function numberMachines(c: Connection, clientIds: readonly Guid[]): number[] {
  const ids = JSON.stringify(clientIds);
  const known = read(c, ids);
  if (clientIds.every((id) => known.has(id))) return clientIds.map((id) => known.get(id) ?? 0);
  return c.immediate(() => {
    c.run(
      `INSERT INTO MPE_MachineNumbers (ClientId, Number)
       SELECT w.value, (SELECT coalesce(max(Number), ?2 - 1) FROM MPE_MachineNumbers) + row_number() OVER (ORDER BY w.value)
       FROM (SELECT DISTINCT value FROM json_each(?1)) w
       WHERE NOT EXISTS (SELECT 1 FROM MPE_MachineNumbers n WHERE n.ClientId = w.value)`,
      ids,
      FIRST_MACHINE_NUMBER,
    );
    const numbers = read(c, ids);
    return clientIds.map((id) => numbers.get(id) ?? 0);
  });
}

function read(c: Connection, ids: string): Map<Guid, number> {
  const rows = c.all(
    'SELECT ClientId, Number FROM MPE_MachineNumbers WHERE ClientId IN (SELECT value FROM json_each(?))',
    ids,
  );
  return new Map(rows.map((row) => [guid(row, 'ClientId'), integer(row, 'Number')]));
}

function machineOf(row: SqlRow): SearchedMachine {
  return {
    clientId: guid(row, 'ClientId'),
    machineName: text(row, 'Name'),
    domain: text(row, 'DomainName'),
    reportedAtMs: integerOrNull(row, 'ReportedAt'),
  };
}
