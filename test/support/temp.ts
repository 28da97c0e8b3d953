import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// The demo, the chaos campaign and the bench use this folder outside vitest, where its hooks are absent.
const vitest = process.env['VITEST'] === undefined ? null : await import('vitest');

const atEnd: string[] = [];

// A process that was killed a moment ago may still have put a file there while the folder was emptied.
const REMOVAL = { recursive: true, force: true, maxRetries: 10, retryDelay: 50 } as const;

function removeAll(): void {
  for (const folder of atEnd.splice(0)) rmSync(folder, REMOVAL);
}

if (vitest === null) process.once('exit', removeAll);
else {
  try {
    // Runs after every hook of the file that imports this: hooks run in reverse order.
    vitest.afterAll(removeAll);
  } catch {
    // Imported where there are no hooks, such as a process that a test started.
    process.once('exit', removeAll);
  }
}

/** A folder of one's own, removed when the test (or, called in a hook, the test file or process) is done. */
export function tempFolder(prefix = 'mpe-test-'): string {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  try {
    if (vitest === null) atEnd.push(folder);
    else vitest.onTestFinished(() => rmSync(folder, REMOVAL));
  } catch {
    atEnd.push(folder);
  }
  return folder;
}
