import type { Guid } from '../../../protocol/guid.js';
import type { CurrentKey } from '../../disclosure-store.js';
import { guid, text, time } from '../columns.js';
import { intOf, rowsOf, textOf } from '../parameters.js';
import { MACHINES_NAMED } from '../search/search-keys.js';
import { firstSet, type Session } from '../session.js';

/** More than that share a name: then it names nobody. */
const MOST = 10;

/** Clients of a name, with or without `DOMAIN\`. */
export async function findMachines(session: Session, name: string): Promise<Guid[]> {
  const [, domain = '', machine = ''] = /^(?:([^\\]*)\\)?(.*)$/s.exec(name.trim()) ?? [];
  const sets = await session.query(
    // The names by their indexes, case as the collation has it; then whether the client still calls itself so.
    `SELECT TOP (@most) m.Id AS ClientId FROM RecoveryAndHardwareCore_Machines m
     WHERE m.Id IN (${MACHINES_NAMED}) AND m.Name = @machine AND (@domain = N'' OR m.DomainName = @domain)`,
    { machine: textOf(machine), domain: textOf(domain), most: intOf(MOST) },
  );
  return firstSet(sets)
    .map((row) => guid(row, 'ClientId'))
    .sort();
}

/** Keys in the current sets of clients which they sent. */
export async function currentKeys(session: Session, clientIds: readonly Guid[]): Promise<CurrentKey[]> {
  const sets = await session.query(
    `SELECT r.ClientId, m.Name, m.DomainName, r.VolumeId, k.KeyId, MIN(p.ProvenAt) AS ProvenAt
     FROM OPENJSON(@clients) WITH (ClientId uniqueidentifier '$.ClientId') c
       JOIN MPE_Reports r ON r.ClientId = c.ClientId
       CROSS APPLY OPENJSON(r.KeyIds) WITH (KeyId uniqueidentifier '$') i
       JOIN MPE_Keys k ON k.KeyId = i.KeyId AND k.VolumeId = r.VolumeId AND k.Kind = 1
       JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = r.ClientId
       JOIN RecoveryAndHardwareCore_Machines m ON m.Id = r.ClientId
     GROUP BY r.ClientId, m.Name, m.DomainName, r.VolumeId, k.KeyId`,
    { clients: rowsOf(clientIds.map((clientId) => ({ ClientId: clientId }))) },
  );
  const place = (key: CurrentKey): string => `${key.clientId} ${key.volumeId} ${key.keyId}`;
  return firstSet(sets)
    .map((row) => ({
      clientId: guid(row, 'ClientId'),
      machineName: text(row, 'Name'),
      domain: text(row, 'DomainName'),
      volumeId: guid(row, 'VolumeId'),
      keyId: guid(row, 'KeyId'),
      provenAtMs: time(row, 'ProvenAt'),
    }))
    .sort((a, b) => (place(a) < place(b) ? -1 : 1));
}
