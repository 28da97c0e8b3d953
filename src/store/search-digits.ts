import { MpeError } from '../ops/errors.js';

/** Hex digits that a search needs at least: what the pre-boot screen shows. */
export const MIN_DIGITS = 8;

/**
 * The digits of a key ID as people type them: case, braces, hyphens and blanks are ignored.
 *
 * @throws MpeError VALUE_INVALID for fewer than 8 or more than 32 hex digits, or other characters
 */
export function searchDigits(typed: string): string {
  const digits = typed.toLowerCase().replaceAll(/[-{}\s]/g, '');
  if (/^[0-9a-f]*$/.test(digits) && digits.length >= MIN_DIGITS && digits.length <= 32) return digits;
  throw new MpeError('VALUE_INVALID', 'a key is searched by the first 8 to 32 hex digits of its key ID');
}
