import type { Guid } from '../../../protocol/guid.js';
import { VOLUME_TYPES } from '../../../protocol/vocabulary.js';
import type { PresentKey } from '../../rotation-store.js';
import { guid, numbered, text } from '../columns.js';
import { guidOf } from '../parameters.js';
import { firstSet, type Session } from '../session.js';

/** Keys in current sets of clients that proved them: of one client, or of one volume. */
export async function presentKeys(
  session: Session,
  of: { readonly volumeId: Guid } | { readonly clientId: Guid },
): Promise<PresentKey[]> {
  const byVolume = 'volumeId' in of;
  const rows = firstSet(
    await session.query(byVolume ? SELECT_BY_VOLUME : SELECT_BY_CLIENT, {
      id: guidOf(byVolume ? of.volumeId : of.clientId),
    }),
  );
  return rows.map((row) => ({
    clientId: guid(row, 'ClientId'),
    machineName: text(row, 'Name'),
    volumeId: guid(row, 'VolumeId'),
    keyId: guid(row, 'KeyId'),
    volumeType: numbered(row, 'VolumeType', VOLUME_TYPES),
  }));
}

const select = (condition: string): string => `
  SELECT r.ClientId, m.Name, r.VolumeId, s.KeyId, r.VolumeType
  FROM MPE_Reports r CROSS APPLY OPENJSON(r.KeyIds) WITH (KeyId uniqueidentifier '$') s
    JOIN RecoveryAndHardwareCore_Machines m ON m.Id = r.ClientId
  WHERE ${condition} AND EXISTS (
    SELECT 1 FROM MPE_Keys k JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = r.ClientId
    WHERE k.KeyId = s.KeyId AND k.VolumeId = r.VolumeId AND k.Kind = 1)
  ORDER BY LOWER(CONVERT(char(36), r.VolumeId)), LOWER(CONVERT(char(36), s.KeyId)),
    LOWER(CONVERT(char(36), r.ClientId))`;

const SELECT_BY_VOLUME = select('r.VolumeId = @id');
const SELECT_BY_CLIENT = select('r.ClientId = @id');
