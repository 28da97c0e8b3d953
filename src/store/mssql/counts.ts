import { MpeError } from '../../ops/errors.js';
import type { SiteCounts } from '../site-store.js';
import { integer } from './columns.js';
import { firstRow, type Session } from './session.js';

/**
 * Counts for the operator. `keys` are identities of all kinds, `secrets` their generations,
 * `damagedSecrets` identities of which every generation is damaged: what cannot be read now.
 * A column is counted where a role sees some columns alone: * would ask for all of them.
 * One statement, yet each count is of its own moment unless the database has
 * READ_COMMITTED_SNAPSHOT: while workers write, two of them may differ by what came in between.
 */
export async function counts(session: Session): Promise<SiteCounts> {
  const row = firstRow(
    await session.query(`
    SELECT
      (SELECT COUNT(*) FROM MPE_Clients) AS Clients,
      (SELECT COUNT(*) FROM MPE_Keys) + (SELECT COUNT(*) FROM MPE_TpmOwnerAuths) AS Keys,
      (SELECT COUNT(SecretId) FROM MPE_KeySecrets) + (SELECT COUNT(SecretId) FROM MPE_TpmOwnerAuthSecrets) AS Secrets,
      (SELECT COUNT(DISTINCT d.SecretId) FROM MPE_SecretDamage d
       WHERE NOT EXISTS (
         SELECT 1 FROM MPE_KeySecrets s
         WHERE s.SecretId = d.SecretId AND NOT EXISTS (
           SELECT 1 FROM MPE_SecretDamage e WHERE e.SecretId = s.SecretId AND e.Generation = s.Generation))
       AND NOT EXISTS (
         SELECT 1 FROM MPE_TpmOwnerAuthSecrets t
         WHERE t.SecretId = d.SecretId AND NOT EXISTS (
           SELECT 1 FROM MPE_SecretDamage e WHERE e.SecretId = t.SecretId AND e.Generation = t.Generation))
      ) AS Damaged,
      (SELECT COUNT(*) FROM MPE_Outcomes) AS Outcomes,
      (SELECT COUNT(*) FROM MPE_Quarantine) AS Quarantined,
      (SELECT COUNT(*) FROM MPE_DeadLetters) AS DeadLetters`),
  );
  if (row === undefined) throw new MpeError('INTERNAL', 'a SELECT without FROM answered no row');
  return {
    clients: integer(row, 'Clients'),
    keys: integer(row, 'Keys'),
    secrets: integer(row, 'Secrets'),
    damagedSecrets: integer(row, 'Damaged'),
    outcomes: integer(row, 'Outcomes'),
    quarantined: integer(row, 'Quarantined'),
    deadLetters: integer(row, 'DeadLetters'),
  };
}
