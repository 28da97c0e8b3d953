import { isMpeError, MpeError } from '../ops/errors.js';

/**
 * The error of a secret whose data key the database does not hold. The key was committed before its
 * first use, so the database is another than then: restored, or failed over to a replica that was
 * behind. Whoever encrypted with it makes a new data key, and no message is at fault.
 *
 * @param doing what was tried, for the error text
 */
export function dataKeyMissing(
  doing: string,
  cause: unknown,
  facts: Readonly<Record<string, string | number>>,
): MpeError {
  return new MpeError(
    'STORE_TRANSIENT',
    `${doing}: the data key of a secret is not in the database, which was restored or has failed over since the key was made`,
    { cause, facts: { ...facts, dataKeyMissing: true } },
  );
}

/** Whether the work may succeed with a new data key, and with no other. */
export function isDataKeyMissing(error: unknown): boolean {
  return isMpeError(error, 'STORE_TRANSIENT') && error.facts['dataKeyMissing'] === true;
}
