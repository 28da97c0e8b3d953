import { createHash } from 'node:crypto';
import type { CopyTable, NeutralRow, NeutralValue } from './tables.js';

const MODULUS = 1n << 256n;

/**
 * A digest over the rows of a table that does not depend on their order, for two databases sort
 * GUIDs and text in different ways: the sum of the rows' SHA-256 modulo 2^256. A row that is
 * missing, doubled or changed in any value changes it.
 */
export class TableDigest {
  readonly #compared: readonly boolean[];
  #sum = 0n;
  #rows = 0;

  constructor(table: CopyTable) {
    this.#compared = table.columns.map((column) => !column.ordinal);
  }

  add(row: NeutralRow): void {
    const text = row.map((value, i) => (this.#compared[i] === true ? encode(value) : '')).join('');
    this.#sum += BigInt(`0x${createHash('sha256').update(text, 'utf8').digest('hex')}`);
    this.#rows += 1;
  }

  get rows(): number {
    return this.#rows;
  }

  toString(): string {
    return (this.#sum % MODULUS).toString(16).padStart(64, '0');
  }
}

/** A value with its kind and length, so that no two rows have one encoding. */
function encode(value: NeutralValue): string {
  if (value === null) return 'n;';
  if (typeof value === 'string') return `s${value.length}:${value};`;
  if (typeof value === 'boolean') return value ? 't;' : 'f;';
  if (Buffer.isBuffer(value)) return `b${value.length}:${value.toString('hex')};`;
  return `i${value};`;
}
