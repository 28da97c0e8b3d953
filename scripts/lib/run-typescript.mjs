// Runs one of our TypeScript programs (demo, chaos, bench) after the set-up, without a build of its own.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../setup.mjs';

/** Imports a TypeScript module, path from the root; call it after setUp, which installs tsx. */
export async function importTypeScript(path) {
  // Its cache would stay behind in the temporary folder.
  process.env.TSX_DISABLE_CACHE = '1';
  const { register } = await import('tsx/esm/api');
  register();
  return import(pathToFileURL(join(root, path)).href);
}
