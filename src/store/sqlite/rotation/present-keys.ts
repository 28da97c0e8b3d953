import type { Guid } from '../../../protocol/guid.js';
import { VOLUME_TYPES } from '../../../protocol/vocabulary.js';
import type { PresentKey } from '../../rotation-store.js';
import { guid, numbered, text } from '../columns.js';
import type { Connection } from '../connection.js';

/** Keys in current sets of clients that proved them: of one client, or of one volume. */
export function presentKeys(
  c: Connection,
  of: { readonly volumeId: Guid } | { readonly clientId: Guid },
): PresentKey[] {
  const [condition, value] =
    'volumeId' in of
      ? (['r.VolumeId = ?', of.volumeId] as const)
      : (['r.ClientId = ?', of.clientId] as const);
  return c
    .all(
      `SELECT DISTINCT r.ClientId, m.Name, r.VolumeId, k.KeyId, r.VolumeType
       FROM MPE_Reports r CROSS JOIN json_each(r.KeyIds) j
         CROSS JOIN MPE_Keys k ON k.KeyId = j.value AND k.VolumeId = r.VolumeId AND k.Kind = 1
         CROSS JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = r.ClientId
         CROSS JOIN RecoveryAndHardwareCore_Machines m ON m.Id = r.ClientId
       WHERE ${condition} ORDER BY r.VolumeId, k.KeyId, r.ClientId`,
      value,
    )
    .map((row) => ({
      clientId: guid(row, 'ClientId'),
      machineName: text(row, 'Name'),
      volumeId: guid(row, 'VolumeId'),
      keyId: guid(row, 'KeyId'),
      volumeType: numbered(row, 'VolumeType', VOLUME_TYPES),
    }));
}
