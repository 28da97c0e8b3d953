import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// The demo, the chaos campaign and the bench use this folder outside vitest, where its hooks are absent.
const vitest = process.env['VITEST'] === undefined ? null : await import('vitest');

const atExit: string[] = [];

/** A folder of one's own, removed when the test (or, called in a hook, the process) is done. */
export function tempFolder(prefix = 'mpe-test-'): string {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  try {
    if (vitest === null) removeAtExit(folder);
    else vitest.onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  } catch {
    removeAtExit(folder);
  }
  return folder;
}

function removeAtExit(folder: string): void {
  if (atExit.length === 0)
    process.once('exit', () => {
      for (const one of atExit) rmSync(one, { recursive: true, force: true });
    });
  atExit.push(folder);
}
