import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { MpeError } from '../ops/errors.js';
import { keyFolderError } from './key-files.js';

/**
 * Writes a file that only its owner may read, whole or not at all: a draft beside it, to disk, then its
 * name. A process that dies leaves the old file, or none.
 */
export function writePrivateFile(path: string, content: string | Uint8Array): void {
  renameSync(writeDraft(path, content), path);
  syncFolder(dirname(path));
}

/** The draft of a file, on disk; its path. */
function writeDraft(path: string, content: string | Uint8Array): string {
  const draft = `${path}.new-${process.pid}`;
  removeDrafts(dirname(path));
  const file = openSync(draft, 'wx', 0o600);
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  // A permissive or restrictive umask changes nothing.
  chmodSync(draft, 0o600);
  return draft;
}

/**
 * Adds or replaces a file of a key folder; its part of the folder is made where it is missing.
 *
 * @throws MpeError KEY_FOLDER_INVALID where it cannot be written
 */
export function writeKeyFile(folder: string, name: string, content: string | Uint8Array): void {
  const path = join(folder, name);
  try {
    const part = dirname(path);
    if (!existsSync(part)) {
      mkdirSync(part, { mode: 0o700 });
      chmodSync(part, 0o700);
    }
    writePrivateFile(path, content);
  } catch (error) {
    if (error instanceof MpeError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw keyFolderError(folder, `${name} cannot be written (${code})`, error);
  }
}

/**
 * Adds a file of a key folder that is not there yet, whole: of two processes that do it at once one wins.
 *
 * @returns false where it is there; nothing was changed then
 * @throws MpeError KEY_FOLDER_INVALID where it cannot be written
 */
export function addKeyFile(folder: string, name: string, content: string): boolean {
  const path = join(folder, name);
  try {
    const draft = writeDraft(path, content);
    try {
      linkSync(draft, path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') return false;
      // A file system without hard links: then the look and the rename have to do.
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(code ?? '')) throw error;
      if (existsSync(path)) return false;
      renameSync(draft, path);
    } finally {
      rmSync(draft, { force: true });
    }
    syncFolder(dirname(path));
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw keyFolderError(folder, `${name} cannot be written (${code})`, error);
  }
}

/** Drafts of processes that died: they may hold a private key, and nobody finishes them. */
export function removeDrafts(folder: string): void {
  for (const name of readdirSync(folder)) {
    const pid = Number(/\.new-(\d+)$/.exec(name)?.[1] ?? 0);
    if (pid > 0 && (pid === process.pid || !runs(pid))) rmSync(join(folder, name), { force: true });
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

/** Windows opens no folders and needs none of it. */
function syncFolder(path: string): void {
  if (process.platform === 'win32') return;
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
