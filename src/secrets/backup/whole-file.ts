import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Writes a file that its owner alone may read, whole or not at all, in a folder that is not ours: only
 * drafts of this very file are removed.
 */
export function writeWholeFile(path: string, content: string | Uint8Array): void {
  removeDraftsOf(path);
  const draft = `${path}.new-${process.pid}`;
  const file = openSync(draft, 'wx', 0o600);
  try {
    try {
      writeFileSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  if (process.platform === 'win32') return;
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** What killed processes left. */
function removeDraftsOf(path: string): void {
  const start = `${basename(path)}.new-`;
  for (const name of readdirSync(dirname(path))) {
    const pid = name.startsWith(start) ? Number(name.slice(start.length)) : 0;
    if (Number.isInteger(pid) && pid > 0 && (pid === process.pid || !runs(pid)))
      rmSync(join(dirname(path), name), { force: true });
  }
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
