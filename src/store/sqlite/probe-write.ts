import type { Connection } from './connection.js';

/** Writes and commits one row a prober: readiness that tells whether a write gets to the disk. */
export function probeWrite(c: Connection, by: string, nowMs: number): void {
  c.run(
    `INSERT INTO MPE_Probe (ProbedBy, Count, ProbedAt) VALUES (?, 1, ?)
     ON CONFLICT (ProbedBy) DO UPDATE SET Count = Count + 1, ProbedAt = excluded.ProbedAt`,
    by,
    nowMs,
  );
}
