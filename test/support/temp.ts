import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// The demo, the chaos campaign and the bench use this folder outside vitest, where its hooks are absent.
const vitest = process.env['VITEST'] === undefined ? null : await import('vitest');

/** A folder of one's own, removed when the test (or, called in a hook, the process) is done. */
export function tempFolder(prefix = 'mpe-test-'): string {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    if (vitest === null) process.once('exit', remove);
    else vitest.onTestFinished(remove);
  } catch {
    process.once('exit', remove);
  }
  return folder;
}
