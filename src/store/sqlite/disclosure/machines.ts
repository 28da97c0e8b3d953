import type { Guid } from '../../../protocol/guid.js';
import type { CurrentKey } from '../../disclosure-store.js';
import { guid, integer, text } from '../columns.js';
import type { Connection } from '../connection.js';

/** More than that share a name: then it names nobody. */
const MOST = 10;

/** Clients of a name, with or without `DOMAIN\`. */
export function findMachines(c: Connection, name: string): Guid[] {
  const [, domain = '', machine = ''] = /^(?:([^\\]*)\\)?(.*)$/s.exec(name.trim()) ?? [];
  return c
    .all(
      // The names by their indexes; then whether the client still calls itself so.
      `SELECT m.Id AS ClientId FROM RecoveryAndHardwareCore_Machines m
       WHERE m.Id IN (SELECT s.ClientId FROM MPE_ClientStates s WHERE s.MachineName = ?1 COLLATE NOCASE
                      UNION SELECT c.ClientId FROM MPE_Clients c WHERE c.MachineName = ?1 COLLATE NOCASE)
         AND m.Name = ?1 COLLATE NOCASE AND (?2 = '' OR m.DomainName = ?2 COLLATE NOCASE)
       ORDER BY m.Id LIMIT ?3`,
      machine,
      domain,
      MOST,
    )
    .map((row) => guid(row, 'ClientId'));
}

/** Keys in the current sets of clients which they sent. */
export function currentKeys(c: Connection, clientIds: readonly Guid[]): CurrentKey[] {
  return c
    .all(
      `SELECT r.ClientId, m.Name, m.DomainName, r.VolumeId, k.KeyId, min(p.ProvenAt) AS ProvenAt
       FROM json_each(?) w
         CROSS JOIN MPE_Reports r ON r.ClientId = w.value
         CROSS JOIN json_each(r.KeyIds) j
         CROSS JOIN MPE_Keys k ON k.KeyId = j.value AND k.VolumeId = r.VolumeId AND k.Kind = 1
         CROSS JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = r.ClientId
         JOIN RecoveryAndHardwareCore_Machines m ON m.Id = r.ClientId
       GROUP BY r.ClientId, m.Name, m.DomainName, r.VolumeId, k.KeyId
       ORDER BY r.ClientId, r.VolumeId, k.KeyId`,
      JSON.stringify(clientIds),
    )
    .map((row) => ({
      clientId: guid(row, 'ClientId'),
      machineName: text(row, 'Name'),
      domain: text(row, 'DomainName'),
      volumeId: guid(row, 'VolumeId'),
      keyId: guid(row, 'KeyId'),
      provenAtMs: integer(row, 'ProvenAt'),
    }));
}
