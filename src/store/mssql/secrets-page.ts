import type { SecretPosition, StoredSecret } from '../site-store.js';
import { bytesOf, intOf } from './parameters.js';
import type { Session } from './session.js';
import { GENERATIONS, storedSecret } from './stored-secret.js';

/** A page of each of the two tables by its primary key; merging them here costs no sort there. */
const SQL = GENERATIONS.map(
  ({ columns, from }) => `
  SELECT TOP (@limit) ${columns} FROM ${from}
  WHERE s.SecretId >= @secretId AND (s.SecretId > @secretId OR s.Generation > @generation)
  ORDER BY s.SecretId, s.Generation;`,
).join('');

/** At most `limit` generations in order of (secret id, generation), after a position; null begins. */
export async function secretsPage(
  session: Session,
  after: SecretPosition | null,
  limit: number,
): Promise<StoredSecret[]> {
  const sets = await session.query(SQL, {
    limit: intOf(limit),
    secretId: bytesOf(after?.secretId ?? Buffer.alloc(0)),
    generation: intOf(after?.generation ?? 0),
  });
  return sets.flat().map(storedSecret).sort(byPosition).slice(0, limit);
}

function byPosition(a: StoredSecret, b: StoredSecret): number {
  return Buffer.compare(a.identity.secretId, b.identity.secretId) || a.generation - b.generation;
}
