import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MAIN, ROOT } from '../support/engine-process.js';
import { tempFolder } from '../support/temp.js';

export const FIXTURES = join(ROOT, 'test/fixtures');

/** A fixtures' folder of one's own that holds some of the cases, as sources and as built. */
export function copyOfFixtures(...names: readonly string[]): string {
  const folder = tempFolder('mpe-fixtures-');
  cpSync(join(FIXTURES, 'keys'), join(folder, 'keys'), { recursive: true });
  for (const sub of ['cases', 'built']) {
    mkdirSync(join(folder, sub));
    for (const name of names) cpSync(join(FIXTURES, sub, `${name}.json`), join(folder, sub, `${name}.json`));
  }
  return folder;
}

/** Parsed JSON that a test reaches into. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- every depth of it would need a cast
export type Editable = any;

/** Edits a case of such a folder. */
export function edit(folder: string, name: string, change: (json: Editable) => void): void {
  const file = join(folder, 'cases', `${name}.json`);
  const json: unknown = JSON.parse(readFileSync(file, 'utf8'));
  change(json);
  writeFileSync(file, JSON.stringify(json));
}

/** Runs the built command line. */
export function mpe(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [MAIN, ...args],
      { cwd: ROOT, env: { PATH: process.env['PATH'] ?? '', NO_COLOR: '1', ...env }, maxBuffer: 16e6 },
      (_error, stdout, stderr) => resolve({ status: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}
