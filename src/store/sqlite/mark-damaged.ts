import { MpeError } from '../../ops/errors.js';
import type { Connection } from './connection.js';

/**
 * Marks a generation unreadable, once: the first finding stands. The key gets a successor when it
 * comes again, and the client is asked for it.
 *
 * @throws MpeError VALUE_INVALID where there is no such generation.
 */
export function markDamaged(
  c: Connection,
  secretId: Uint8Array,
  generation: number,
  reason: string,
  atMs: number,
): void {
  c.immediate(() => {
    const known = c.get(
      `SELECT 1 FROM MPE_KeySecrets WHERE SecretId = ?1 AND Generation = ?2
       UNION ALL SELECT 1 FROM MPE_TpmOwnerAuthSecrets WHERE SecretId = ?1 AND Generation = ?2`,
      secretId,
      generation,
    );
    if (known === undefined) {
      const id = Buffer.from(secretId).toString('hex');
      throw new MpeError('VALUE_INVALID', `no secret ${id} of generation ${generation} is stored`);
    }
    c.run(
      'INSERT INTO MPE_SecretDamage (SecretId, Generation, FoundAt, Reason) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
      secretId,
      generation,
      atMs,
      reason,
    );
  });
}
