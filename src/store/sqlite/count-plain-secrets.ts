import { integer } from './columns.js';
import type { Connection } from './connection.js';

/** Secrets of which every generation is in plain text. */
export function countPlainSecrets(c: Connection): number {
  const row = c.get(`
    SELECT
      (SELECT count(DISTINCT s.SecretId) FROM MPE_KeySecrets s WHERE s.Form = 1 AND NOT EXISTS (
         SELECT 1 FROM MPE_KeySecrets t WHERE t.SecretId = s.SecretId AND t.Form = 2))
      + (SELECT count(DISTINCT s.SecretId) FROM MPE_TpmOwnerAuthSecrets s WHERE s.Form = 1 AND NOT EXISTS (
         SELECT 1 FROM MPE_TpmOwnerAuthSecrets t WHERE t.SecretId = s.SecretId AND t.Form = 2)) AS Plain`);
  return row === undefined ? 0 : integer(row, 'Plain');
}
