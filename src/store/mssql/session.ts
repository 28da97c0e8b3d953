import type { SqlParameters } from './parameters.js';

export type { SqlParameters };

/** A row by column name, as the driver gives it. Read it with columns.ts alone. */
export type SqlRow = Record<string, unknown>;

/** Where SQL runs: a pooled connection, or the connection of a transaction. */
export interface Session {
  /**
   * Runs one batch in one round trip and answers its record sets in their order. Throws the
   * driver's error unchanged; errors.ts tells what it means.
   */
  query(sql: string, parameters?: SqlParameters): Promise<readonly SqlRow[][]>;
}

/** The rows of the first record set; none where the batch answered none. */
export function firstSet(sets: readonly SqlRow[][]): SqlRow[] {
  return sets[0] ?? [];
}

/** The first row of the first record set. */
export function firstRow(sets: readonly SqlRow[][]): SqlRow | undefined {
  return sets[0]?.[0];
}
