// Says whether dist/ was built from the sources as they are now: a hash over everything that goes
// into the build, kept in dist/.stamp. Times of files are no help after a clone or a checkout.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const INPUTS = [
  'src',
  'proto',
  'scripts/build.mjs',
  'tsconfig.json',
  'tsconfig.build.json',
  'package-lock.json',
];

function* filesOf(path, root) {
  const skip = join(root, 'src', 'protocol', 'generated');
  const entries = existsSync(path) ? readdirSync(path, { withFileTypes: true }) : [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const child = join(path, entry.name);
    if (child === skip) continue;
    if (entry.isDirectory()) yield* filesOf(child, root);
    else yield child;
  }
}

/** The hash of everything that the build reads. */
export function sourceHash(root) {
  const hash = createHash('sha256');
  for (const input of INPUTS) {
    const path = join(root, input);
    const files = input.includes('.') ? [path] : [...filesOf(path, root)];
    for (const file of files) {
      hash.update(`${relative(root, file)}\0`);
      hash.update(readFileSync(file));
    }
  }
  return hash.digest('hex');
}

const stampOf = (root) => join(root, 'dist', '.stamp');

/** Whether dist/ holds a build of exactly these sources. */
export function buildIsFresh(root) {
  if (!existsSync(join(root, 'dist', 'main.js')) || !existsSync(stampOf(root))) return false;
  if (!existsSync(join(root, 'src', 'protocol', 'generated', 'mpe.js'))) return false;
  return readFileSync(stampOf(root), 'utf8') === sourceHash(root);
}

/** Notes that dist/ was built from sources with this hash. */
export function writeStamp(root, hash) {
  writeFileSync(stampOf(root), hash);
}
