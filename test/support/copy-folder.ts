import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Copies a file, or what is in a folder, with its modes; Node from 22 on gives copied folders the
 * default mode. Another process does it, as a database may be among them (see read-apart.ts).
 */
export function copyWithModes(from: string, to: string): void {
  const folder = lstatSync(from).isDirectory();
  mkdirSync(folder ? to : dirname(to), { recursive: true });
  execFileSync('cp', ['-Rp', folder ? `${from}/.` : from, to]);
}
