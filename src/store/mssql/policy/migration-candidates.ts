import type { OtherManager } from '../../../protocol/vocabulary.js';
import { candidatesOf, MAX_KEYS_OF_A_CLIENT } from '../../migration-candidates.js';
import type { MigrationCandidate } from '../../policy-store.js';
import { guid, json } from '../columns.js';
import { flagOf, intOf, textOf } from '../parameters.js';
import { firstSet, type Session } from '../session.js';

/** Clients of a tag whose keys were never migrated, the longest registered first. */
export async function migrationCandidates(
  session: Session,
  tag: string,
  options: { readonly besideOthers: boolean; readonly limit: number },
): Promise<MigrationCandidate[]> {
  // The copies of a key are sought behind CROSS APPLY: beside EXISTS a server may read all secrets for each key.
  const sets = await session.query(
    `SELECT TOP (@rows) c.ClientId, COALESCE(s.OtherManagers, N'[]') AS OtherManagers, r.VolumeId, j.KeyId
     FROM MPE_Clients c
       JOIN MPE_Reports r ON r.ClientId = c.ClientId AND r.VolumeType IN (1, 2)
       CROSS APPLY OPENJSON(r.KeyIds) WITH (KeyId uniqueidentifier '$') j
       LEFT JOIN MPE_ClientStates s ON s.ClientId = c.ClientId
     WHERE c.Tag = @tag AND c.Tag COLLATE Latin1_General_BIN2 = @tag AND c.State = 'ACTIVE'
       AND (@besideOthers = 1 OR COALESCE(s.OtherManagers, N'[]') = N'[]')
       AND NOT EXISTS (SELECT 1 FROM MPE_MachineEvents e WHERE e.ClientId = c.ClientId AND e.Event = 'MERGED')
       AND NOT EXISTS (SELECT 1 FROM MPE_Exposures e WHERE e.VolumeId = r.VolumeId AND e.Cause = 'MIGRATION')
       AND NOT EXISTS (SELECT 1 FROM MPE_Exposures e WHERE e.KeyId = j.KeyId)
       AND EXISTS (SELECT 1 FROM MPE_Keys k
                     CROSS APPLY (SELECT TOP (1) h.Generation FROM MPE_HealthySecrets h WHERE h.SecretId = k.SecretId) g
                   WHERE k.KeyId = j.KeyId AND k.VolumeId = r.VolumeId AND k.Kind = 1
                     AND EXISTS (SELECT 1 FROM MPE_KeyProofs p WHERE p.ClientId = c.ClientId AND p.SecretId = k.SecretId))
     ORDER BY c.RegisteredAt, c.ClientId, r.VolumeId, j.KeyId`,
    {
      tag: textOf(tag),
      besideOthers: flagOf(options.besideOthers),
      rows: intOf(options.limit * MAX_KEYS_OF_A_CLIENT),
    },
  );
  return candidatesOf(
    firstSet(sets).map((row) => ({
      clientId: guid(row, 'ClientId'),
      otherManagers: json<OtherManager[]>(row, 'OtherManagers'),
      volumeId: guid(row, 'VolumeId'),
      keyId: guid(row, 'KeyId'),
    })),
    options.limit,
  );
}
