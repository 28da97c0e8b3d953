import type { DurabilityReport } from '../rows.js';
import { guidOrNull, text, textOrNull } from './columns.js';
import type { Connection } from './connection.js';
import { sqlErrorClass } from './errors.js';
import { bracketed } from './missing-right.js';
import { firstRow, firstSet, type Session } from './session.js';

/**
 * Reads back whether a commit that was acknowledged survives a crash of the server.
 *
 *  * DELAYED_DURABILITY = FORCED acknowledges before the log is on disk: not durable. ALLOWED only
 *    lets a transaction ask for that, which mpe never does.
 *  * A replica that commits asynchronously can be behind when it takes over: a warning, for the
 *    operator decides on failovers.
 *
 * What cannot be seen from here: disks that acknowledge what they have not written, geo-replication
 * of Azure SQL Database (always asynchronous), and a synchronous replica that has fallen out of
 * step while REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT is 0. Replicas are visible only with VIEW
 * SERVER STATE. No server with availability groups was at hand: that part follows the documentation.
 */
export async function durability(
  connection: Pick<Connection, 'query' | 'warnings'>,
): Promise<DurabilityReport> {
  const found = firstRow(
    await connection.query(
      `SELECT name AS DatabaseName, delayed_durability_desc AS Delayed, replica_id AS ReplicaId
         FROM sys.databases WHERE name = DB_NAME()`,
    ),
  );
  const delayed = found === undefined ? null : textOrNull(found, 'Delayed');
  const warnings = [...connection.warnings];
  if (found === undefined || delayed === null) {
    warnings.push('the server does not tell DELAYED_DURABILITY; check that a commit waits for its disk');
    return { durable: true, detail: 'delayed_durability unknown', warnings };
  }
  if (delayed === 'FORCED') {
    const repair = `ALTER DATABASE ${bracketed(text(found, 'DatabaseName'))} SET DELAYED_DURABILITY = DISABLED;`;
    return {
      durable: false,
      detail: `delayed_durability=FORCED: the server acknowledges commits that a crash can undo; an administrator sets it right with: ${repair}`,
      warnings,
    };
  }
  const note = delayed === 'ALLOWED' ? ' (never asked for)' : '';
  if (guidOrNull(found, 'ReplicaId') !== null) warnings.push(...(await replicaWarnings(connection)));
  return { durable: true, detail: `delayed_durability=${delayed}${note}`, warnings };
}

/** Warnings about the other replicas of the database's availability group. */
async function replicaWarnings(session: Session): Promise<string[]> {
  try {
    const rows = firstSet(
      await session.query(
        `SELECT r.replica_server_name AS Server
           FROM sys.dm_hadr_database_replica_states s
           JOIN sys.availability_replicas r ON r.replica_id = s.replica_id
          WHERE s.database_id = DB_ID() AND s.is_local = 0 AND r.availability_mode_desc = 'ASYNCHRONOUS_COMMIT'`,
      ),
    );
    return rows.map(
      (row) =>
        `replica ${text(row, 'Server')} commits asynchronously: a failover to it can lose committed messages; never let it take over without a check`,
    );
  } catch (error) {
    if (sqlErrorClass(error) !== 'permission') throw error;
    return [
      'the database is in an availability group whose replicas are not visible to this login: check that those which may take over commit synchronously, or grant VIEW SERVER STATE',
    ];
  }
}
