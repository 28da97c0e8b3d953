import type { Guid } from '../../protocol/guid.js';
import type { ListedClient, LookAlikes } from '../site-store.js';
import { flag, guid, integer, text, word } from './columns.js';
import type { Connection } from './connection.js';

/** A client that an operator merged into another one looks like nobody any more. */
const MERGED = (client: string): string =>
  `EXISTS (SELECT 1 FROM MPE_MachineEvents e WHERE e.ClientId = ${client}.ClientId AND e.Event = 'MERGED')`;

const LISTED = `
  SELECT c.*,
    EXISTS (SELECT 1 FROM MPE_ClientFlags f WHERE f.ClientId = c.ClientId AND f.Epoch = c.Epoch) AS Clone,
    (c.HardwareId <> '' AND c.State <> 'BLOCKED' AND NOT ${MERGED('c')} AND EXISTS (
      SELECT 1 FROM MPE_Clients o WHERE o.HardwareId = c.HardwareId COLLATE NOCASE
        AND o.ClientId <> c.ClientId AND o.State <> 'BLOCKED' AND NOT ${MERGED('o')})) AS SameHardware
  FROM MPE_Clients c`;

/** Clients, the newest first. */
export function listClients(
  c: Connection,
  filter: { readonly flagged: boolean; readonly limit: number },
): ListedClient[] {
  return c
    .all(
      `SELECT * FROM (${LISTED}) WHERE ? = 0 OR Clone OR SameHardware
       ORDER BY RegisteredAt DESC, ClientId LIMIT ?`,
      filter.flagged ? 1 : 0,
      filter.limit,
    )
    .map((row) => ({
      clientId: guid(row, 'ClientId'),
      state: word(row, 'State', ['ACTIVE', 'BLOCKED', 'PENDING'] as const),
      epoch: integer(row, 'Epoch'),
      machineName: text(row, 'MachineName'),
      domain: text(row, 'Domain'),
      hardwareId: text(row, 'HardwareId'),
      tag: text(row, 'Tag'),
      registeredAtMs: integer(row, 'RegisteredAt'),
      clone: flag(row, 'Clone'),
      sameHardware: flag(row, 'SameHardware'),
    }));
}

/** Other clients with the same hardware id, or the same name in the same domain. */
export function findLookAlikes(
  c: Connection,
  clientId: Guid,
  hints: { readonly hardwareId: string; readonly machineName: string; readonly domain: string },
): LookAlikes {
  const ids = (where: string, ...values: string[]): Guid[] =>
    c
      .all(
        `SELECT o.ClientId FROM MPE_Clients o WHERE o.ClientId <> ? AND ${where}
           AND o.State <> 'BLOCKED' AND NOT ${MERGED('o')} ORDER BY o.RegisteredAt, o.ClientId LIMIT 10`,
        clientId,
        ...values,
      )
      .map((row) => guid(row, 'ClientId'));
  return {
    sameHardware: hints.hardwareId === '' ? [] : ids('o.HardwareId = ? COLLATE NOCASE', hints.hardwareId),
    sameName:
      hints.machineName === ''
        ? []
        : ids(
            'o.MachineName = ? COLLATE NOCASE AND o.Domain = ? COLLATE NOCASE',
            hints.machineName,
            hints.domain,
          ),
  };
}
