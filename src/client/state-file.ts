import { mkdirSync } from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { isMpeError, MpeError } from '../ops/errors.js';
import { lockState } from './state-lock.js';
import type { StateStore } from './state-store.js';

/**
 * State in one file, `client.json`, mode 0600, in a folder of its own, mode 0700.
 *
 * Each write makes a new file, flushes it, renames it over the old one and flushes the folder, so
 * that after kill -9 or loss of power the file is the old text or the new one, never a mixture.
 */
export class StateFile implements StateStore {
  readonly #folder: string;
  readonly #path: string;
  readonly #release: () => void;

  private constructor(folder: string, release: () => void) {
    this.#folder = folder;
    this.#path = join(folder, 'client.json');
    this.#release = release;
  }

  /**
   * Opens (and makes) the folder and locks it against a second client.
   *
   * @throws MpeError STATE_LOCKED, STATE_INVALID (the folder cannot be used).
   */
  static open(folder: string): StateFile {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      return new StateFile(folder, lockState(join(folder, 'client.lock')));
    } catch (error) {
      throw unusable(folder, error);
    }
  }

  async read(): Promise<string | null> {
    try {
      return await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw unusable(this.#path, error);
    }
  }

  async write(encode: () => string): Promise<void> {
    const text = encode();
    const next = `${this.#path}.next`;
    const file = await open(next, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, this.#path);
    await syncFolder(this.#folder);
  }

  close(): void {
    this.#release();
  }
}

/** Makes a rename durable. Windows cannot open folders and journals renames by itself. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** What the operating system refused, as an error that says what to do. */
function unusable(path: string, cause: unknown): unknown {
  const { code } = cause as NodeJS.ErrnoException;
  if (isMpeError(cause) || code === undefined) return cause;
  return new MpeError(
    'STATE_INVALID',
    `the client state at ${path} cannot be opened (${code}); give this client a folder of its own that it may write (MPE_CLIENT_HOME)`,
    { cause },
  );
}
