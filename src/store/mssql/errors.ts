import sql from 'mssql';
import { isMpeError, MpeError } from '../../ops/errors.js';
import { dataKeyMissing } from '../data-key-missing.js';
import { ofSomeRows } from '../of-some-rows.js';
import { publicMessage } from './public-message.js';

/**
 * What an error of SQL Server means for us.
 *  * unique: a unique constraint, unique index or primary key refused a row
 *  * transient: the same work may succeed when it is done again
 *  * permission: the login lacks a right, or may not log in at all
 *  * guard: a trigger of the schema refused (51001 to 51006)
 *  * permanent: the same work will fail again
 */
export type SqlErrorClass = 'unique' | 'transient' | 'permission' | 'guard' | 'permanent';

/** Babelfish's number for all it has no other for: lock time-outs, snapshot conflicts, refusals. */
const BABELFISH = 33557097;

/** What takeTurn throws where a transaction waited in vain for its turn. */
export const TURN_MISSED = 51_007;

/** Numbers after which the whole transaction may be done again. */
const TRANSIENT_NUMBERS: ReadonlySet<number> = new Set([
  -2, // time-out of the client, as other drivers number it
  233, // the connection was closed while logging in
  ...[64, 121, 596, 10_053, 10_054, 10_060], // the connection or the session was ended
  1204, // no lock memory
  1205, // chosen as deadlock victim
  1222, // lock time-out
  3960, // snapshot conflict
  4060, // the database cannot be opened: failing over, recovering, restoring
  ...[921, 922, 926, 927, 942, 945, 952], // recovering, suspect, restoring, offline, in transition
  ...[976, 978, 979, 981, 982, 983, 3906], // the replica is not the primary, or the database is read-only
  ...[6005, 17_142, 17_187, 18_401, 18_451], // the server is starting, paused or going down
  // The stream of bytes is damaged. The driver makes whole ones: this one was cut on its way.
  ...[4002, 8004, 8005, 8006, 8007, 8009],
  // What an operator gives back: memory, space of the database and its log, disks.
  ...[701, 802, 845, 8628, 8645, 8651, 17_803, 1101, 1105, 9001, 9002],
  // Row versions (READ_COMMITTED_SNAPSHOT) found no room in tempdb.
  ...[3958, 3959, 3966, 3967],
  ...[988, 3908, 3980], // no quorum, an emergency, a batch that was aborted on its way
  // A column or an object is gone: a breaking migration under a process of the former release, or a
  // mistake of an administrator. Every message would meet it, and none is at fault.
  ...[207, 208],
  ...[10_928, 10_929], // Azure SQL: limit of the resource reached, too busy for more than the minimum
  ...[40_143, 40_197, 40_501, 40_540, 40_613], // Azure SQL: busy, reconfigured or not available now
  ...[1132, 40_544, 40_549, 40_550, 40_551, 40_552, 40_553], // Azure SQL: full, or the session took too much
  ...[49_918, 49_919, 49_920], // Azure SQL: not enough resources, too many operations
  TURN_MISSED,
  BABELFISH,
]);

const UNIQUE_NUMBERS: ReadonlySet<number> = new Set([2627, 2601]);
const PERMISSION_NUMBERS: ReadonlySet<number> = new Set([229, 230, 262, 297, 300, 916, 18456]);

/** Numbers that our triggers throw. */
const FIRST_GUARD = 51001;
const LAST_GUARD = 51006;

/** Damaged pages and what waits for their repair: who needs another page is served. */
const DAMAGED_PAGES: ReadonlySet<number> = new Set([605, 823, 824, 829, 9100]);

/**
 * Codes of the driver that say the program is wrong: done again, it is wrong again. Every other
 * code without a server number is a connection that is gone, late or not there yet.
 */
const MISTAKE_CODES: ReadonlySet<string> = new Set([
  'EARGS',
  'EPARAM',
  'EINJECT',
  'ENAME',
  'EDRIVER',
  'EREQINPROG',
  'EALREADYBEGUN',
  'EALREADYCONNECTED',
  'EALREADYCONNECTING',
  'EDEPRECATED',
  'EJSON',
]);

/** The error and what the driver hides under it, the most telling first. */
function* parts(error: unknown): Generator<Error> {
  if (!(error instanceof Error)) return;
  const { precedingErrors, originalError, cause } = error as {
    precedingErrors?: unknown;
    originalError?: unknown;
    cause?: unknown;
  };
  // With a connection that breaks after the refusal, the refusal stands among the preceding ones.
  if (Array.isArray(precedingErrors)) for (const one of precedingErrors) yield* parts(one);
  yield error;
  yield* parts(originalError);
  yield* parts(cause);
  if (error instanceof AggregateError) for (const one of error.errors) yield* parts(one);
}

/** The number the server gave; the driver puts its own codes into the same field as text. */
function numberOf(error: Error): number | null {
  const own = (error as { number?: unknown }).number;
  if (typeof own === 'number' && own !== 0) return own;
  const info = (error as { info?: { number?: unknown } }).info?.number;
  return typeof info === 'number' && info !== 0 ? info : null;
}

const numbersOf = (error: unknown): number[] =>
  [...parts(error)].map(numberOf).filter((number) => number !== null);

const saysRefused = (error: Error): boolean => /permission denied|must be owner of/i.test(error.message);

/** A foreign key says that the data key of a secret is not there. */
const lacksDataKey = (error: unknown): boolean =>
  [...parts(error)].some(
    (one) => numberOf(one) === 547 && /FK_MPE_(?:KeySecrets|TpmOwnerAuthSecrets)_DataKey/i.test(one.message),
  );

const isGuard = (number: number): boolean => number >= FIRST_GUARD && number <= LAST_GUARD;

/** The driver's word for an error: ETIMEOUT, ESOCKET; empty where it has none. */
function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

/** Whether the error is the driver's or the server's, and not of our own program. */
function isFromDriver(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  if (error instanceof sql.MSSQLError) return true;
  return typeof (error as { code?: unknown }).code === 'string' || numberOf(error) !== null;
}

/** The class of an error; what the driver did not throw is permanent. */
export function sqlErrorClass(error: unknown): SqlErrorClass {
  if (isMpeError(error)) return error.code === 'STORE_TRANSIENT' ? 'transient' : 'permanent';
  if (!isFromDriver(error)) return 'permanent';
  const numbers = numbersOf(error);
  if (numbers.includes(BABELFISH) && [...parts(error)].some(saysRefused)) return 'permission';
  // A deadlock victim may first have seen another refusal: done again, it will tell.
  if (numbers.some((number) => TRANSIENT_NUMBERS.has(number) || DAMAGED_PAGES.has(number)))
    return 'transient';
  if (lacksDataKey(error)) return 'transient';
  if (numbers.some(isGuard)) return 'guard';
  if (numbers.some((number) => UNIQUE_NUMBERS.has(number))) return 'unique';
  if (numbers.some((number) => PERMISSION_NUMBERS.has(number))) return 'permission';
  // A refused connection is never the fault of the work that wanted it.
  if (codeOf(error) === 'ELOGIN') return 'transient';
  if (numbers.length > 0) return 'permanent';
  // Without a number nobody said no: a connection or, on Babelfish, a serialisation failure.
  return MISTAKE_CODES.has(codeOf(error)) ? 'permanent' : 'transient';
}

/** The turn of the transaction did not come in time. */
export function isTurnMissed(error: unknown): boolean {
  return numbersOf(error).includes(TURN_MISSED);
}

/** The whole work may succeed when done again. */
export function isTransient(error: unknown): boolean {
  return sqlErrorClass(error) === 'transient';
}

/** A unique constraint refused a row; of this name, where given (any case, part of the message). */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (sqlErrorClass(error) !== 'unique') return false;
  if (constraint === undefined) return true;
  const name = constraint.toLowerCase();
  return [...parts(error)].some(
    (one) =>
      UNIQUE_NUMBERS.has(numberOf(one) ?? 0) && namesIn(one.message).some((said) => isName(said, name)),
  );
}

/** Babelfish appends the table and a hash to the name of an index. */
function isName(said: string, name: string): boolean {
  return said === name || (said.startsWith(name) && /[0-9a-f]{32}$/.test(said));
}

/** The quoted names in a message of the server, lower case; the key's values come after them. */
function namesIn(message: string): readonly string[] {
  const [said = ''] = message.split(/The duplicate key value/i);
  return [...said.matchAll(/['"“]([^'"”]+)['"”]/g)].map((match) => match[1]?.toLowerCase() ?? '');
}

/** The number a trigger of ours threw (51001 to 51006), or null. */
export function thrownNumber(error: unknown): number | null {
  return numbersOf(error).find(isGuard) ?? null;
}

/**
 * An error of the driver as one of ours; MpeErrors pass unchanged. The text names the number and
 * the server's message, without the values that some messages repeat.
 *
 * @param doing what was tried: `reading the site`.
 */
export function toStoreError(error: unknown, doing: string): MpeError {
  if (isMpeError(error)) return error;
  const number = numbersOf(error)[0] ?? null;
  const code = codeOf(error);
  const label = number === null ? code : `error ${number}`;
  const text = `${doing}: ${publicMessage(error, textNumber(error, number))}${label === '' ? '' : ` (${label})`}`;
  const options = {
    cause: publicCause(error, textNumber(error, number)),
    facts: { ...(number === null ? {} : { number }), ...(code === '' ? {} : { code }) },
  };
  if (lacksDataKey(error)) return dataKeyMissing(doing, options.cause, options.facts);
  switch (sqlErrorClass(error)) {
    case 'transient':
      return new MpeError(
        'STORE_TRANSIENT',
        `${text}${certificateHelp(error)}${schemaHelp(number)}`,
        numbersOf(error).some((one) => DAMAGED_PAGES.has(one)) ? ofSomeRows(options) : options,
      );
    // No message is at fault when a password was changed or a grant is gone: were this permanent,
    // workers would give up message by message until the operator notices.
    case 'permission':
      return new MpeError('STORE_TRANSIENT', `${text}. ${rightsHelp(number)}`, {
        ...options,
        facts: { ...options.facts, lacksRight: number !== 18_456 },
      });
    case 'unique':
    case 'guard':
    case 'permanent':
      return new MpeError('STORE_FAILED', text, options);
  }
}

/** The number that the text of an error belongs to: an error before it has another text. */
function textNumber(error: unknown, first: number | null): number | null {
  return (error instanceof Error ? numberOf(error) : null) ?? first;
}

function rightsHelp(number: number | null): string {
  if (number === 18_456) {
    return 'Check the user of MPE_STORE_URL and its password (MPE_STORE_PASSWORD), and that the login may connect';
  }
  return 'The login lacks a right: give it the role of its process, see docs/sqlserver.md';
}

function schemaHelp(number: number | null): string {
  if (number !== 207 && number !== 208) return '';
  return '. The schema is not the one that this release runs on: compare them with "mpe migrate --check"';
}

/** Codes of Node for a server certificate that does not verify. */
const CERTIFICATE_CODES =
  /^(?:SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|UNABLE_TO_|CERT_|ERR_TLS_CERT_ALTNAME_INVALID)/;

function certificateHelp(error: unknown): string {
  if (![...parts(error)].some((one) => CERTIFICATE_CODES.test(codeOf(one)))) return '';
  return '. The certificate of the server does not verify: name its CA by ca=<PEM file> in MPE_STORE_URL, or the name that it carries by serverName=';
}

/** The cause for the operator's log: an error of the driver repeats values and is rewritten. */
function publicCause(error: unknown, number: number | null): unknown {
  if (!isFromDriver(error)) return error;
  const cause = new Error(publicMessage(error, number));
  cause.name = error.name;
  if (error.stack !== undefined) {
    const frames = error.stack.split('\n').filter((line) => /^\s+at /.test(line));
    cause.stack = [`${cause.name}: ${cause.message}`, ...frames].join('\n');
  }
  return cause;
}
