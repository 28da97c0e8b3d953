import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { splitBatches } from './batches.js';
import type { Connection } from './connection.js';
import { isRefusal, toMissingRight } from './missing-right.js';
import { run } from './run.js';

/** The text of roles.sql. */
export function readRolesFile(): string {
  return readFileSync(join(import.meta.dirname, 'roles.sql'), 'utf8').replaceAll('\r\n', '\n');
}

/**
 * Runs roles.sql in one transaction.
 *
 * @throws MpeError STORE_FAILED where the login may not make roles.
 */
export function applyRoles(connection: Connection): Promise<void> {
  const doing = 'making the roles';
  return run(doing, async () => {
    try {
      await connection.transaction(async (tx) => {
        for (const batch of splitBatches(readRolesFile())) await tx.query(batch);
      });
    } catch (error) {
      if (!(error instanceof Error) || !isRefusal(error)) throw error;
      throw toMissingRight(error, doing, 'db_owner');
    }
  });
}
