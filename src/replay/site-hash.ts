import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { MpeError } from '../ops/errors.js';
import { openStore } from '../store/open-store.js';
import { dumpLine } from '../store/site-hash.js';
import type { SiteStore } from '../store/site-store.js';

/** The lines of a site, sorted. No secret is in them. */
export async function dumpOf(store: SiteStore): Promise<readonly string[]> {
  const lines: string[] = [];
  for await (const line of store.hashLines()) lines.push(dumpLine(line));
  // The store gives each table sorted; one order over all makes a dump independent of the store.
  return lines.sort();
}

/** SHA-256 (hex) of dumped lines. */
export function hashLinesText(lines: readonly string[]): string {
  const hash = createHash('sha256');
  for (const line of lines) hash.update(`${line}\n`, 'utf8');
  return hash.digest('hex');
}

/** Compares two dumps line by line: `-` only in the first, `+` only in the second. */
export function diffDumps(a: readonly string[], b: readonly string[]): readonly string[] {
  const inA = new Set(a);
  const inB = new Set(b);
  return [
    ...a.filter((line) => !inB.has(line)).map((line) => ({ sign: '-', line })),
    ...b.filter((line) => !inA.has(line)).map((line) => ({ sign: '+', line })),
  ]
    .sort((x, y) => (x.line < y.line ? -1 : x.line > y.line ? 1 : 0))
    .map(({ sign, line }) => `${sign} ${line.replaceAll('\t', ' ')}`);
}

/** Whether a file begins as SQLite files do; only that much of it is read. */
function isSqlite(path: string): boolean {
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(16);
    readSync(file, head);
    return head.toString('latin1').startsWith('SQLite format 3');
  } finally {
    closeSync(file);
  }
}

/**
 * Reads a side of a diff: an SQLite site database, or a dump that `mpe site dump` wrote.
 *
 * @throws MpeError USAGE where the file is neither
 */
export async function readSide(path: string): Promise<readonly string[]> {
  if (!existsSync(path)) throw new MpeError('USAGE', `${path} is not there`);
  if (isSqlite(path)) {
    const store = await openStore({ kind: 'sqlite', path }, { readOnly: true });
    try {
      return await dumpOf(store);
    } finally {
      await store.close();
    }
  }
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  const stray = lines.find((line) => !/^(clients|keys|proofs|reports)\t/.test(line));
  if (stray !== undefined)
    throw new MpeError('USAGE', `${path} is neither an SQLite site database nor a dump of "mpe site dump"`);
  return lines.sort();
}
