import type { StoreLocation } from './open-store.js';

/**
 * The clock of the database server, milliseconds since the epoch; null where it has none of its own.
 *
 * @throws MpeError STORE_TRANSIENT, STORE_FAILED
 */
export async function readStoreTime(location: StoreLocation): Promise<number | null> {
  if (location.kind === 'sqlite') return null;
  const { readServerTime } = await import('./mssql/server-time.js');
  return readServerTime(location.target);
}
