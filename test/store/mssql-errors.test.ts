import sql from 'mssql';
import { describe, expect, test } from 'vitest';
import { MpeError } from '../../src/ops/errors.js';
import { isDataKeyMissing } from '../../src/store/data-key-missing.js';
import {
  isTransient,
  isUniqueViolation,
  sqlErrorClass,
  thrownNumber,
  toStoreError,
} from '../../src/store/mssql/errors.js';
import { isOfSomeRows } from '../../src/store/of-some-rows.js';

/** An error as the driver builds it from an error token of the server. */
function serverError(number: number, message: string): sql.RequestError {
  const token = Object.assign(new Error(message), {
    info: { number, message, state: 1, class: 16, lineNumber: 1, serverName: 's', procName: '' },
  });
  return new sql.RequestError(token, 'EREQUEST');
}

const driverError = (code: string, message = 'x'): Error =>
  new sql.RequestError(Object.assign(new Error(message), { code }));

const UNIQUE =
  "Violation of UNIQUE KEY constraint 'UQ_MPE_Outcomes_Message'. Cannot insert duplicate key in object 'dbo.MPE_Outcomes'. The duplicate key value is (s3cret-value).";

describe('classes of errors', () => {
  test.each([
    -2, 233, 1204, 1205, 1222, 3960, 4060, 10_928, 10_929, 40_143, 40_501, 40_613, 49_918, 49_919, 49_920,
    51_007, 33_557_097, 976, 3906, 9002, 1105, 701, 40_197, 18_401, 4002, 8007, 3958, 3966, 3967, 824, 988,
    40_544, 40_552, 207, 208,
  ])('number %i is transient', (number) => {
    expect(sqlErrorClass(serverError(number, 'x'))).toBe('transient');
    expect(isTransient(serverError(number, 'x'))).toBe(true);
  });

  test('a damaged page is of some rows, an outage of all', () => {
    expect(isOfSomeRows(toStoreError(serverError(824, 'x'), 'committing'))).toBe(true);
    expect(isOfSomeRows(toStoreError(serverError(1205, 'x'), 'committing'))).toBe(false);
  });

  test('a right that is missing is told from a login that is refused', () => {
    expect(toStoreError(serverError(229, 'x'), 'writing').facts['lacksRight']).toBe(true);
    expect(toStoreError(serverError(18_456, 'x'), 'writing').facts['lacksRight']).toBe(false);
  });

  test.each([2627, 2601])('number %i is a unique violation', (number) => {
    expect(sqlErrorClass(serverError(number, UNIQUE))).toBe('unique');
  });

  test.each([229, 230, 262, 297, 300, 916, 18_456])('number %i is a lack of rights', (number) => {
    expect(sqlErrorClass(serverError(number, 'x'))).toBe('permission');
  });

  test.each([51_001, 51_002, 51_003, 51_004, 51_005, 51_006])('number %i is a guard', (number) => {
    expect(sqlErrorClass(serverError(number, 'x'))).toBe('guard');
    expect(thrownNumber(serverError(number, 'x'))).toBe(number);
  });

  test.each([102, 245, 515, 547, 2628, 8152, 50_000, 51_000, 51_008])('number %i is permanent', (number) => {
    expect(sqlErrorClass(serverError(number, 'x'))).toBe('permanent');
    expect(thrownNumber(serverError(number, 'x'))).toBeNull();
  });

  test.each([
    ...['ESOCKET', 'ECONNRESET', 'ECONNCLOSED', 'ENOTOPEN', 'ENOCONN', 'EINVALIDSTATE', 'ETIMEOUT'],
    ...['ECANCEL', 'EABORT', 'ECLOSE', 'ENOTBEGUN', 'ECOMMIT', 'EREQUEST', 'EINSTLOOKUP'],
  ])('%s without a number is transient', (code) => {
    expect(sqlErrorClass(driverError(code))).toBe('transient');
  });

  test.each(['EARGS', 'EPARAM', 'EREQINPROG'])('%s is a mistake of the program', (code) => {
    expect(sqlErrorClass(driverError(code))).toBe('permanent');
  });

  test('a refused connection is tried again, whatever its number', () => {
    const refused = Object.assign(new Error('x'), { code: 'ELOGIN', number: 911 });
    expect(sqlErrorClass(new sql.ConnectionError(refused))).toBe('transient');
    const login = Object.assign(new Error('x'), { code: 'ELOGIN', number: 18_456 });
    expect(sqlErrorClass(new sql.ConnectionError(login))).toBe('permission');
  });

  test('what the driver did not throw is permanent, and an MpeError says itself what it is', () => {
    expect(sqlErrorClass(new TypeError('x is not a function'))).toBe('permanent');
    expect(sqlErrorClass('text')).toBe('permanent');
    expect(sqlErrorClass(new MpeError('STORE_TRANSIENT', 'x'))).toBe('transient');
    expect(sqlErrorClass(new MpeError('STORE_FAILED', 'x'))).toBe('permanent');
  });

  test('a refusal in Babelfish’s catch-all is no reason to try again', () => {
    expect(sqlErrorClass(serverError(33_557_097, 'permission denied for table mpe_keys'))).toBe('permission');
  });

  test('the refusal stands among the preceding errors where the connection broke after it', () => {
    const error = Object.assign(driverError('ECLOSE'), { precedingErrors: [serverError(2627, UNIQUE)] });
    expect(sqlErrorClass(error)).toBe('unique');
    expect(isUniqueViolation(error, 'UQ_MPE_Outcomes_Message')).toBe(true);
  });

  test('a deadlock beside a unique violation is done again', () => {
    const error = Object.assign(serverError(2627, UNIQUE), { precedingErrors: [serverError(1205, 'x')] });
    expect(sqlErrorClass(error)).toBe('transient');
    expect(isUniqueViolation(error)).toBe(false);
  });

  test('an aborted transaction tells why', () => {
    const abort = Object.assign(new sql.TransactionError('Transaction has been aborted.', 'EABORT'), {
      originalError: serverError(51_004, 'x'),
    });
    expect(sqlErrorClass(abort)).toBe('guard');
  });
});

describe('a data key that the database does not hold', () => {
  const refusal = (key: string): Error =>
    serverError(
      547,
      `The INSERT statement conflicted with the FOREIGN KEY constraint "${key}". The conflict occurred in database "mpe", table "dbo.MPE_DataKeys", column 'DataKeyId'.`,
    );

  test.each(['FK_MPE_KeySecrets_DataKey', 'fk_mpe_tpmownerauthsecrets_datakey'])('%s', (key) => {
    expect(sqlErrorClass(refusal(key))).toBe('transient');
    const error = toStoreError(refusal(key), 'committing messages');
    expect(isDataKeyMissing(error)).toBe(true);
    expect(error).toMatchObject({ code: 'STORE_TRANSIENT', retryable: true, facts: { number: 547 } });
  });

  test('any other foreign key is a fault of the message', () => {
    expect(sqlErrorClass(refusal('FK_MPE_KeySecrets_Key'))).toBe('permanent');
    expect(isDataKeyMissing(toStoreError(refusal('FK_MPE_KeySecrets_Key'), 'x'))).toBe(false);
  });
});

test('what stands in a text is told by the number of that text, not by that of an error before it', () => {
  const message = "Conversion failed when converting the nvarchar value 's3cret-value' to data type int.";
  const error = Object.assign(serverError(245, message), { precedingErrors: [serverError(2627, UNIQUE)] });
  const ours = toStoreError(error, 'reading rows');
  expect(ours.message).not.toContain('s3cret');
  expect(String((ours.cause as Error).stack)).not.toContain('s3cret');
});

test('an object that is gone leads to the schema', () => {
  const error = toStoreError(serverError(208, "Invalid object name 'MPE_Outcomes'."), 'reading an outcome');
  expect(error).toMatchObject({ code: 'STORE_TRANSIENT', retryable: true });
  expect(error.message).toBe(
    'reading an outcome: Invalid object name \'MPE_Outcomes\'. (error 208). The schema is not the one that this release runs on: compare them with "mpe migrate --check"',
  );
});

describe('names of constraints', () => {
  test('any case, the whole name, and never the values of the key', () => {
    const error = serverError(2627, UNIQUE);
    expect(isUniqueViolation(error, 'uq_mpe_outcomes_message')).toBe(true);
    expect(isUniqueViolation(error, 'UQ_MPE_Outcomes')).toBe(false);
    expect(isUniqueViolation(error, 's3cret-value')).toBe(false);
    expect(isUniqueViolation(serverError(547, UNIQUE), 'UQ_MPE_Outcomes_Message')).toBe(false);
  });

  test('a unique index says 2601, or on Babelfish its name with a hash behind', () => {
    const index = "Cannot insert duplicate key row in object 'dbo.T' with unique index 'UX_T_Kid'.";
    expect(isUniqueViolation(serverError(2601, index), 'UX_T_Kid')).toBe(true);
    const altered = `duplicate key value violates unique constraint "ux_t_kidt${'0af3'.repeat(8)}"`;
    expect(isUniqueViolation(serverError(2627, altered), 'UX_T_Kid')).toBe(true);
  });
});

describe('our errors', () => {
  test.each([
    [serverError(2627, UNIQUE), 'STORE_FAILED', 2627],
    [
      serverError(245, "Conversion failed when converting the nvarchar value 's3cret-value' to int."),
      'STORE_FAILED',
      245,
    ],
    [
      serverError(
        2628,
        "String would be truncated in table 'd', column 'c'. Truncated value: 's3cret-value'.",
      ),
      'STORE_FAILED',
      2628,
    ],
    [serverError(1205, 'Transaction (Process ID 5) was deadlocked'), 'STORE_TRANSIENT', 1205],
    [
      serverError(33_557_097, 'invalid input syntax for type uuid: "s3cret-value"'),
      'STORE_TRANSIENT',
      33_557_097,
    ],
  ])('%s: code and number, no values, also not in the cause', (error, code, number) => {
    const ours = toStoreError(error, 'trying');
    expect(ours).toMatchObject({ code, facts: { number } });
    expect(ours.message).toMatch(`(error ${number})`);
    const cause = ours.cause as Error;
    expect([ours.message, cause.message, cause.stack, JSON.stringify(cause)].join()).not.toContain(
      's3cret-value',
    );
  });

  test('a lost connection has no number', () => {
    const ours = toStoreError(driverError('ESOCKET', 'Connection lost - socket hang up'), 'committing');
    expect(ours.message).toBe('committing: Connection lost - socket hang up (ESOCKET)');
    expect(ours.facts).toEqual({ code: 'ESOCKET' });
    expect(ours.retryable).toBe(true);
  });

  test('a refused login says what to do', () => {
    const ours = toStoreError(serverError(18_456, "Login failed for user 'mpe'."), 'connecting');
    expect(ours.message).toMatch(/Login failed for user 'mpe'.*MPE_STORE_URL.*MPE_STORE_PASSWORD/);
  });

  test('a missing right is no fault of a message: it is tried until the right is there', () => {
    const denied = "The INSERT permission was denied on the object 'MPE_Keys', database 'd', schema 'dbo'.";
    const ours = toStoreError(serverError(229, denied), 'committing');
    expect(ours).toMatchObject({ code: 'STORE_TRANSIENT', facts: { number: 229 } });
    expect(ours.message).toMatch(/INSERT permission was denied on the object 'MPE_Keys'.*docs\/sqlserver.md/);
  });

  test('a certificate that does not verify says what to set', () => {
    const tls = Object.assign(new Error('self-signed certificate'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    const lost = Object.assign(new Error('Failed to connect', { cause: tls }), { code: 'ESOCKET' });
    expect(toStoreError(new sql.ConnectionError(lost), 'connecting').message).toMatch(/ca=<PEM file>/);
  });

  test('an MpeError passes unchanged', () => {
    const error = new MpeError('SCHEMA_MISMATCH', 'x');
    expect(toStoreError(error, 'y')).toBe(error);
  });
});
