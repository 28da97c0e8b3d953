import { isMpeError } from '../ops/errors.js';

/** What an error is made with. */
interface ErrorOptions {
  readonly cause: unknown;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

/**
 * Marks a transient error that not all work meets: a page of the database is damaged. In a group it must be
 * found who needs that page, or one machine's rows would put everybody off for as long as the repair takes.
 */
export function ofSomeRows(options: ErrorOptions): ErrorOptions {
  return { ...options, facts: { ...options.facts, ofSomeRows: true } };
}

/** Whether work beside the one that failed may succeed now. */
export function isOfSomeRows(error: unknown): boolean {
  return isMpeError(error, 'STORE_TRANSIENT') && error.facts['ofSomeRows'] === true;
}
