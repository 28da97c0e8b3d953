/** Keys of a database whose look-ups are measured. */
export const SMALL = 2_000;
export const LARGE = 2_000_000;

/** Keys that share their first eight digits, where any do. */
export const SHARED = 10;
/** One of so many prefixes is shared. */
const SHARED_EVERY = 100;

/** Rows written in one statement. */
export const CHUNK = 200_000;

/** How far the prefixes of two keys lie apart, so that those of all keys cover all digits. */
export const stepOf = (keys: number): number => Math.floor(2 ** 32 / keys);

/**
 * The number of the key whose prefix a key has, as SQL over its number `i` from 0: every hundredth
 * of the first tenth lends its prefix to nine others, a tenth of the table apart each.
 */
export const prefixNumberSql = (keys: number): string =>
  `CASE WHEN i % ${keys / SHARED} % ${SHARED_EVERY} = 0 THEN i % ${keys / SHARED} ELSE i END`;

/** The eight digits to search for one key, or for several, chosen by a number from 0 to 1. */
export function digitsFor(keys: number, several: boolean, choice: number): string {
  const groups = keys / SHARED / SHARED_EVERY;
  const number = several
    ? Math.floor(choice * groups) * SHARED_EVERY
    : // Any key whose number is not a multiple of the shared ones.
      Math.floor((choice * keys) / SHARED_EVERY) * SHARED_EVERY + 1;
  return (number * stepOf(keys)).toString(16).padStart(8, '0');
}
