import { bytesOf, wordOf, type SqlParameter } from './parameters.js';

/** Where a value lies in its parameter, as SUBSTRING counts: from 1. */
export interface Place {
  readonly Start: number;
  readonly Length: number;
}

/**
 * Long values (sealed replies, secrets) end to end in one parameter of their own; the JSON rows say
 * where each lies, and the statement takes it by `SUBSTRING(@values, Start, Length)`. In the JSON
 * itself bytes would be four times as large, and not every server reads texts of more than 4,000
 * characters out of it.
 */
export function packBytes(values: readonly Uint8Array[]): { places: Place[]; parameter: SqlParameter } {
  return { places: placesOf(values), parameter: bytesOf(Buffer.concat(values)) };
}

/** The same for ASCII text. */
export function packWords(values: readonly string[]): { places: Place[]; parameter: SqlParameter } {
  return { places: placesOf(values), parameter: wordOf(values.join('')) };
}

function placesOf(values: readonly { readonly length: number }[]): Place[] {
  let end = 0;
  return values.map(({ length }) => {
    const Start = end + 1;
    end += length;
    return { Start, Length: length };
  });
}
