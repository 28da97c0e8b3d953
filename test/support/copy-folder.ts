import { chmodSync, cpSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Copies a file or folder with its modes; Node from 22 on gives copied folders the default mode. */
export function copyWithModes(from: string, to: string): void {
  cpSync(from, to, { recursive: true });
  keepModes(from, to);
}

function keepModes(from: string, to: string): void {
  const stat = lstatSync(from);
  if (stat.isSymbolicLink()) return;
  chmodSync(to, stat.mode & 0o777);
  if (!stat.isDirectory()) return;
  for (const name of readdirSync(from)) {
    if (!lstatSync(join(from, name)).isSocket()) keepModes(join(from, name), join(to, name));
  }
}
