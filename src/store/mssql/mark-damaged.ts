import { MpeError } from '../../ops/errors.js';
import { again } from './again.js';
import type { Connection } from './connection.js';
import { bytesOf, intOf, textOf, timeOf } from './parameters.js';
import { firstRow } from './session.js';

/**
 * Marks a generation unreadable, once: the first finding stands. The key gets a successor when it
 * comes again, and the client is asked for it. A generation is never removed, so looking before
 * writing needs no transaction.
 *
 * @throws MpeError VALUE_INVALID where there is no such generation.
 */
export async function markDamaged(
  connection: Connection,
  secretId: Uint8Array,
  generation: number,
  reason: string,
  atMs: number,
): Promise<void> {
  const names = { secretId: bytesOf(secretId), generation: intOf(generation) };
  const known = await connection.query(
    `SELECT 1 AS Known FROM MPE_KeySecrets WHERE SecretId = @secretId AND Generation = @generation
     UNION ALL
     SELECT 1 FROM MPE_TpmOwnerAuthSecrets WHERE SecretId = @secretId AND Generation = @generation`,
    names,
  );
  if (firstRow(known) === undefined) {
    const id = Buffer.from(secretId).toString('hex');
    throw new MpeError('VALUE_INVALID', `no secret ${id} of generation ${generation} is stored`);
  }
  await again('marking a secret', () =>
    connection.query(
      `INSERT INTO MPE_SecretDamage (SecretId, Generation, FoundAt, Reason)
       SELECT @secretId, @generation, @at, @reason
       WHERE NOT EXISTS (SELECT 1 FROM MPE_SecretDamage WHERE SecretId = @secretId AND Generation = @generation)`,
      { ...names, at: timeOf(atMs), reason: textOf(reason) },
    ),
  );
}
