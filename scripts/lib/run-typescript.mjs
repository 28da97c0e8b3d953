// Runs one of our TypeScript programs (demo, chaos, bench) after the set-up, without a build of its own.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../setup.mjs';

/** Imports a TypeScript module, path from the root; call it after setUp, which installs tsx. */
export async function importTypeScript(path) {
  // Its cache belongs to the clone: in the temporary folder it would stay behind.
  const before = process.env.TMPDIR;
  process.env.TMPDIR = join(root, 'node_modules', '.cache');
  mkdirSync(process.env.TMPDIR, { recursive: true });
  const { register } = await import('tsx/esm/api');
  register();
  const module = await import(pathToFileURL(join(root, path)).href);
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  return module;
}
