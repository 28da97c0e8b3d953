import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * The bytes of a file. Those of a database are read by another process: closing a handle drops every
 * POSIX lock that this process has on the file, and a store that it has open would be without them.
 *
 * @throws Error where the file cannot be read
 */
export function readApart(file: string): Buffer {
  if (!/\.db(?:-wal|-shm)?$/.test(file)) return readFileSync(file);
  return execFileSync('cat', ['--', file], { maxBuffer: 1 << 30, stdio: ['ignore', 'pipe', 'ignore'] });
}
