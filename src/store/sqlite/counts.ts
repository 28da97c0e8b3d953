import { MpeError } from '../../ops/errors.js';
import type { SiteCounts } from '../site-store.js';
import { integer } from './columns.js';
import type { Connection } from './connection.js';

/**
 * Counts for the operator. `keys` are identities of all kinds, `secrets` their generations,
 * `damagedSecrets` identities of which every generation is damaged: what cannot be read now.
 */
export function counts(c: Connection): SiteCounts {
  const row = c.get(`
    SELECT
      (SELECT count(*) FROM MPE_Clients) AS Clients,
      (SELECT count(*) FROM MPE_Keys) + (SELECT count(*) FROM MPE_TpmOwnerAuths) AS Keys,
      (SELECT count(*) FROM MPE_KeySecrets) + (SELECT count(*) FROM MPE_TpmOwnerAuthSecrets) AS Secrets,
      (SELECT count(DISTINCT d.SecretId) FROM MPE_SecretDamage d
       WHERE NOT EXISTS (
         SELECT 1 FROM (
           SELECT s.SecretId, s.Generation FROM MPE_KeySecrets s
           UNION ALL SELECT t.SecretId, t.Generation FROM MPE_TpmOwnerAuthSecrets t) g
         WHERE g.SecretId = d.SecretId AND NOT EXISTS (
           SELECT 1 FROM MPE_SecretDamage e
           WHERE e.SecretId = g.SecretId AND e.Generation = g.Generation))) AS Damaged,
      (SELECT count(*) FROM MPE_Outcomes) AS Outcomes,
      (SELECT count(*) FROM MPE_Quarantine) AS Quarantined,
      (SELECT count(*) FROM MPE_DeadLetters) AS DeadLetters`);
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
