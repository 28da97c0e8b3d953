import type { Guid } from '../../protocol/guid.js';
import type { ListedClient, LookAlikes } from '../site-store.js';
import { guid, integer, text, time, word } from './columns.js';
import { guidOf, intOf, textOf } from './parameters.js';
import { firstSet, type Session } from './session.js';

/** A client that an operator merged into another one looks like nobody any more. */
const MERGED = (client: string): string =>
  `EXISTS (SELECT 1 FROM MPE_MachineEvents e WHERE e.ClientId = ${client}.ClientId AND e.Event = 'MERGED')`;

const LISTED = `
  SELECT c.ClientId, c.State, c.Epoch, c.MachineName, c.Domain, c.HardwareId, c.Tag, c.RegisteredAt,
    CASE WHEN EXISTS (SELECT 1 FROM MPE_ClientFlags f WHERE f.ClientId = c.ClientId AND f.Epoch = c.Epoch)
      THEN 1 ELSE 0 END AS Clone,
    CASE WHEN c.HardwareId <> N'' AND c.State <> 'BLOCKED' AND NOT ${MERGED('c')} AND EXISTS (
      SELECT 1 FROM MPE_Clients o WHERE o.HardwareId = c.HardwareId AND o.ClientId <> c.ClientId
        AND o.State <> 'BLOCKED' AND NOT ${MERGED('o')}) THEN 1 ELSE 0 END AS SameHardware
  FROM MPE_Clients c`;

/** Clients, the newest first. */
export async function listClients(
  session: Session,
  filter: { readonly flagged: boolean; readonly limit: number },
): Promise<ListedClient[]> {
  const sets = await session.query(
    `SELECT TOP (@limit) l.* FROM (${LISTED}) l WHERE @flagged = 0 OR l.Clone = 1 OR l.SameHardware = 1
     ORDER BY l.RegisteredAt DESC, l.ClientId`,
    { limit: intOf(filter.limit), flagged: intOf(filter.flagged ? 1 : 0) },
  );
  return firstSet(sets).map((row) => ({
    clientId: guid(row, 'ClientId'),
    state: word(row, 'State', ['ACTIVE', 'BLOCKED', 'PENDING'] as const),
    epoch: integer(row, 'Epoch'),
    machineName: text(row, 'MachineName'),
    domain: text(row, 'Domain'),
    hardwareId: text(row, 'HardwareId'),
    tag: text(row, 'Tag'),
    registeredAtMs: time(row, 'RegisteredAt'),
    clone: integer(row, 'Clone') === 1,
    sameHardware: integer(row, 'SameHardware') === 1,
  }));
}

const ALIKE = `o.ClientId <> @clientId AND o.State <> 'BLOCKED' AND NOT ${MERGED('o')}
  ORDER BY o.RegisteredAt, o.ClientId`;

/** Other clients with the same hardware id, or the same name in the same domain; one round trip. */
export async function findLookAlikes(
  session: Session,
  clientId: Guid,
  hints: { readonly hardwareId: string; readonly machineName: string; readonly domain: string },
): Promise<LookAlikes> {
  const [hardware = [], names = []] = await session.query(
    `SELECT TOP (10) o.ClientId FROM MPE_Clients o
     WHERE @hardwareId <> N'' AND o.HardwareId = @hardwareId AND ${ALIKE};
     SELECT TOP (10) o.ClientId FROM MPE_Clients o
     WHERE @machineName <> N'' AND o.MachineName = @machineName AND o.Domain = @domain AND ${ALIKE};`,
    {
      clientId: guidOf(clientId),
      hardwareId: textOf(hints.hardwareId),
      machineName: textOf(hints.machineName),
      domain: textOf(hints.domain),
    },
  );
  const ids = (rows: typeof hardware): Guid[] => rows.map((row) => guid(row, 'ClientId'));
  return { sameHardware: ids(hardware), sameName: ids(names) };
}
