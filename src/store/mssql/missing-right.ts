import { MpeError } from '../../ops/errors.js';
import { publicMessage } from './public-message.js';

/** A grant that a login lacks. */
export interface MissingGrant {
  /** What cannot be done without it: `SELECT on MPE_Keys`. */
  readonly right: string;
  /** The statement by which an administrator gives it. */
  readonly grant: string;
}

/** `[name]`, with what could end it doubled. */
export function bracketed(name: string): string {
  return `[${name.replaceAll(']', ']]')}]`;
}

/**
 * Numbers of refusals: no such right in the database (262), on the object (229) or its column
 * (230), schema missing or not ours (2760), "does not have permission" (15247, 297, 300), object
 * missing or not to be seen (15151, 1088, 4902).
 */
const REFUSALS: ReadonlySet<number> = new Set([229, 230, 262, 297, 300, 1088, 2760, 4902, 15151, 15247]);

const numberOf = (error: unknown): number | null => {
  const number = (error as { number?: unknown } | null)?.number;
  return typeof number === 'number' ? number : null;
};

/** Whether the server refused because the login lacks a right; Babelfish says so by text alone. */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return REFUSALS.has(numberOf(error) ?? 0) || /permission denied|must be owner of/i.test(error.message);
}

/** What the server's refusal asks for. DDL needs more than one right, so it is given as the role. */
export function missingGrant(error: Error, user: string): MissingGrant {
  const onObject =
    /The (\w+(?: \w+)?) permission was denied on the object '([^']+)'.*schema '([^']+)'/is.exec(
      error.message,
    );
  if (onObject !== null) {
    const [, right = '', object = '', schema = ''] = onObject;
    return {
      right: `${right} on ${object}`,
      grant: `GRANT ${right} ON ${bracketed(schema)}.${bracketed(object)} TO ${bracketed(user)};`,
    };
  }
  const inDatabase = /^(CREATE \w+) permission denied/i.exec(error.message);
  const right = inDatabase?.[1] ?? 'changing the schema (CREATE TABLE, VIEW, ROLE; ALTER on schema dbo)';
  return { right, grant: `ALTER ROLE db_ddladmin ADD MEMBER ${bracketed(user)};` };
}

/**
 * A refusal as an error that names what is missing and the statement that gives it.
 *
 * @param doing what was tried: `migrating the site database`.
 */
export function toMissingRight(error: Error, doing: string, user: string): MpeError {
  const { right, grant } = missingGrant(error, user);
  const number = numberOf(error);
  return new MpeError(
    'STORE_FAILED',
    `${doing}: the login lacks a right: ${right}. An administrator gives it with: ${grant} ` +
      `The server said: ${publicMessage(error, number)}`,
    { facts: { missingRight: right, ...(number === null ? {} : { number }) } },
  );
}
