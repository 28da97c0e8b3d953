import { again } from './again.js';
import type { Connection } from './connection.js';
import { textOf, timeOf } from './parameters.js';

/** Writes and commits one row a prober: readiness that tells whether a write gets to the disk. */
export async function probeWrite(connection: Connection, by: string, nowMs: number): Promise<void> {
  await again('the readiness write', () =>
    connection.query(
      `UPDATE MPE_Probe SET Count = Count + 1, ProbedAt = @at WHERE ProbedBy = @by;
       INSERT INTO MPE_Probe (ProbedBy, Count, ProbedAt)
       SELECT @by, 1, @at WHERE NOT EXISTS (SELECT 1 FROM MPE_Probe WHERE ProbedBy = @by);`,
      { by: textOf(by), at: timeOf(nowMs) },
    ),
  );
}
