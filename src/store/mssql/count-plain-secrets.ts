import { integer } from './columns.js';
import { firstRow, type Session } from './session.js';

/** Secrets of which every generation is in plain text. */
export async function countPlainSecrets(session: Session): Promise<number> {
  const row = firstRow(
    await session.query(`
      SELECT
        (SELECT COUNT(DISTINCT s.SecretId) FROM MPE_KeySecrets s WHERE s.Form = 1 AND NOT EXISTS (
           SELECT 1 FROM MPE_KeySecrets t WHERE t.SecretId = s.SecretId AND t.Form = 2))
        + (SELECT COUNT(DISTINCT s.SecretId) FROM MPE_TpmOwnerAuthSecrets s WHERE s.Form = 1 AND NOT EXISTS (
           SELECT 1 FROM MPE_TpmOwnerAuthSecrets t WHERE t.SecretId = s.SecretId AND t.Form = 2)) AS Plain`),
  );
  return row === undefined ? 0 : integer(row, 'Plain');
}
