import { createHash } from 'node:crypto';
import { MpeError } from '../ops/errors.js';
import type { HashLine, SiteStore } from './site-store.js';

/**
 * The site hash: SHA-256 over the sorted lines of clients, keys, proofs and reports, each
 * `table<TAB>column<TAB>…<LF>` in UTF-8. No times, no ciphertexts, no order of arrival: two sites
 * under the same fingerprint key that know the same have the same hash.
 */

/** A line as it is hashed and dumped. Columns hold ids, numbers and hex alone, so a tab is safe. */
export function dumpLine(line: HashLine): string {
  return [line.table, ...line.columns].join('\t');
}

/**
 * The site hash of a store, in constant memory.
 *
 * @throws MpeError INTERNAL where the store gives the lines in another order than it promises.
 */
export async function siteHash(store: Pick<SiteStore, 'dialect' | 'hashLines'>): Promise<string> {
  const hash = createHash('sha256');
  let before = '';
  for await (const line of store.hashLines()) {
    const text = dumpLine(line);
    if (text <= before)
      throw new MpeError('INTERNAL', `the ${store.dialect} store gives hash lines unsorted`);
    before = text;
    hash.update(`${text}\n`, 'utf8');
  }
  return hash.digest('hex');
}
