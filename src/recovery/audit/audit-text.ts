/** The farthest that a date goes, in milliseconds from 1970 on. */
const FARTHEST_MS = 8.64e15;

/** Whether a row's time is one that a clock can show; of a row that somebody changed by hand it may be none. */
export const isAuditTime = (atMs: number): boolean => Number.isInteger(atMs) && Math.abs(atMs) <= FARTHEST_MS;

/** A row's time in ISO 8601; what is no time as its number, so that a row that was changed by hand can be named. */
export function auditTime(atMs: number): string {
  return isAuditTime(atMs) ? new Date(atMs).toISOString() : `time ${atMs}`;
}

/**
 * Text that no spreadsheet runs: a `'` goes before what would begin a formula, at the start and behind what
 * separates cells in any country, because a file with commas is split at semicolons in many of them. Quotes
 * that open and close a cell are no part of it.
 */
export function spreadsheetText(text: string): string {
  return text.replaceAll(/(^|[,;\t])(?="*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])/g, "$1'");
}
