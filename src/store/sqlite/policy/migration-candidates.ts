import type { OtherManager } from '../../../protocol/vocabulary.js';
import { candidatesOf, MAX_KEYS_OF_A_CLIENT } from '../../migration-candidates.js';
import type { MigrationCandidate } from '../../policy-store.js';
import { guid, text } from '../columns.js';
import type { Connection } from '../connection.js';

/** Clients of a tag whose keys were never migrated, the longest registered first. */
export function migrationCandidates(
  c: Connection,
  tag: string,
  options: { readonly besideOthers: boolean; readonly limit: number },
): MigrationCandidate[] {
  const rows = c.all(
    `SELECT c.ClientId, coalesce(s.OtherManagers, '[]') AS OtherManagers, r.VolumeId, j.value AS KeyId
     FROM MPE_Clients c
       CROSS JOIN MPE_Reports r ON r.ClientId = c.ClientId AND r.VolumeType IN (1, 2)
       CROSS JOIN json_each(r.KeyIds) j
       LEFT JOIN MPE_ClientStates s ON s.ClientId = c.ClientId
     WHERE c.Tag = ? AND c.State = 'ACTIVE' AND (? = 1 OR coalesce(s.OtherManagers, '[]') = '[]')
       AND NOT EXISTS (SELECT 1 FROM MPE_MachineEvents e WHERE e.ClientId = c.ClientId AND e.Event = 'MERGED')
       AND NOT EXISTS (SELECT 1 FROM MPE_Exposures e WHERE e.VolumeId = r.VolumeId AND e.Cause = 'MIGRATION')
       AND NOT EXISTS (SELECT 1 FROM MPE_Exposures e WHERE e.KeyId = j.value)
       AND EXISTS (SELECT 1 FROM MPE_Keys k CROSS JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = c.ClientId
                   WHERE k.KeyId = j.value AND k.VolumeId = r.VolumeId AND k.Kind = 1
                     AND EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = k.SecretId))
     ORDER BY c.RegisteredAt, c.ClientId, r.VolumeId, j.value LIMIT ?`,
    tag,
    options.besideOthers ? 1 : 0,
    options.limit * MAX_KEYS_OF_A_CLIENT,
  );
  return candidatesOf(
    rows.map((row) => ({
      clientId: guid(row, 'ClientId'),
      otherManagers: JSON.parse(text(row, 'OtherManagers')) as OtherManager[],
      volumeId: guid(row, 'VolumeId'),
      keyId: guid(row, 'KeyId'),
    })),
    options.limit,
  );
}
