import { closeSync, chmodSync, openSync } from 'node:fs';
import Database from 'better-sqlite3';
import { MpeError } from '../ops/errors.js';

/**
 * Holds `path` locked for this process until released or until the process ends, kill -9 included.
 *
 * Node has no lock of the operating system, and a file with a process id in it goes stale after a
 * crash or lies after the id is reused. An exclusive transaction on an (always empty) SQLite file
 * is such a lock, on every platform.
 *
 * @returns the function that releases it.
 * @throws MpeError STATE_LOCKED where another client holds it.
 */
export function lockState(path: string): () => void {
  closeSync(openSync(path, 'a', 0o600));
  chmodSync(path, 0o600);
  const lock = new Database(path, { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    throw new MpeError(
      'STATE_LOCKED',
      `another process uses the client state beside ${path}; stop it, or give this client a folder of its own`,
      { cause: error },
    );
  }
  return () => lock.close();
}
