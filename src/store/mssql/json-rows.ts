import type { JsonValue } from './parameters.js';

/** A row of an OPENJSON parameter. */
export type JsonRow = Readonly<Record<string, JsonValue>>;

/** Hex of bytes, as OPENJSON parameters carry them and results name them. */
export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Rows sorted by their key: text as text, numbers as numbers. */
export function inOrder<R extends JsonRow>(rows: readonly R[], key: readonly string[]): R[] {
  return [...rows].sort((a, b) => {
    for (const column of key) {
      const [one, other] = [a[column], b[column]];
      if (one === other) continue;
      return (one ?? '') < (other ?? '') ? -1 : 1;
    }
    return 0;
  });
}

/** Rows sorted by their key, the first of each key. */
export function distinct<R extends JsonRow>(rows: readonly R[], key: readonly string[]): R[] {
  const first = new Map<string, R>();
  for (const row of rows) {
    const place = key.map((column) => String(row[column])).join('/');
    if (!first.has(place)) first.set(place, row);
  }
  return inOrder([...first.values()], key);
}
