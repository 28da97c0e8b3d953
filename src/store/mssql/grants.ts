import { MpeError } from '../../ops/errors.js';
import { integerOrNull, text } from './columns.js';
import { bracketed } from './missing-right.js';
import { rowsOf } from './parameters.js';
import { readRolesFile } from './roles.js';
import { firstRow, firstSet, type Session } from './session.js';

/** The kinds of processes that have a role of their own; an operator's are the commands. */
export type ProcessKind = 'gateway' | 'worker' | 'recovery' | 'operator';

/** One right that a role has on one object or column. */
export interface Grant {
  readonly right: string;
  /** Without its schema, dbo. */
  readonly object: string;
  /** null: the whole object. */
  readonly column: string | null;
}

const LINE = /^GRANT ([A-Z, ]+) ON dbo\.(\w+)(?: \(([\w, ]+)\))? TO mpe_(\w+);$/gm;

/** The rights that roles.sql gives to a kind of process: the one list there is. */
export function grantsOf(kind: ProcessKind, roles = readRolesFile()): Grant[] {
  return [...roles.matchAll(LINE)]
    .filter(([, , , , role]) => role === kind)
    .flatMap(([, rights = '', object = '', columns]) => {
      const places = columns === undefined ? [null] : columns.split(', ');
      return rights.split(', ').flatMap((right) => places.map((column) => ({ right, object, column })));
    });
}

/** The statement that gives a right to the role of a kind of process. */
export function grantStatement({ right, object, column }: Grant, kind: ProcessKind): string {
  return `GRANT ${right} ON dbo.${object}${column === null ? '' : ` (${column})`} TO mpe_${kind};`;
}

/** The rights of its kind that the session's login lacks; reads alone, one round trip. */
export async function missingGrants(session: Session, kind: ProcessKind): Promise<Grant[]> {
  const wanted = grantsOf(kind);
  const sets = await session.query(
    `SELECT j.PermissionName, j.ObjectName, j.ColumnName,
       CASE WHEN j.ColumnName = '' THEN HAS_PERMS_BY_NAME('dbo.' + j.ObjectName, 'OBJECT', j.PermissionName)
         ELSE HAS_PERMS_BY_NAME('dbo.' + j.ObjectName, 'OBJECT', j.PermissionName, j.ColumnName, 'COLUMN')
       END AS Has
     FROM OPENJSON(@wanted) WITH (PermissionName nvarchar(60) '$.PermissionName',
       ObjectName nvarchar(128) '$.ObjectName', ColumnName nvarchar(128) '$.ColumnName') j;`,
    {
      wanted: rowsOf(
        wanted.map(({ right, object, column }) => ({
          PermissionName: right,
          ObjectName: object,
          ColumnName: column ?? '',
        })),
      ),
    },
  );
  const had = new Set(
    firstSet(sets)
      // Null: the server does not even show the object to this login.
      .filter((row) => integerOrNull(row, 'Has') === 1)
      .map((row) =>
        [text(row, 'PermissionName'), text(row, 'ObjectName'), text(row, 'ColumnName')].join(' '),
      ),
  );
  return wanted.filter(({ right, object, column }) => !had.has([right, object, column ?? ''].join(' ')));
}

/**
 * Refuses a login that lacks a right of its kind of process: better at the start than in the middle
 * of a message.
 *
 * @throws MpeError STORE_FAILED that names each missing grant with its statement
 */
export async function requireGrants(session: Session, kind: ProcessKind): Promise<void> {
  const missing = await missingGrants(session, kind);
  if (missing.length === 0) return;
  const user = firstRow(await session.query('SELECT USER_NAME() AS UserName;'));
  const name = bracketed(user === undefined ? 'user' : text(user, 'UserName'));
  throw new MpeError(
    'STORE_FAILED',
    `the login lacks ${missing.length} of the rights of the role mpe_${kind}. Give it its role with ` +
      `ALTER ROLE mpe_${kind} ADD MEMBER ${name}; or, where it has the role, give the role its rights with ` +
      `\`mpe migrate --roles\`. Missing:\n${missing.map((grant) => grantStatement(grant, kind)).join('\n')}`,
    { facts: { missing: missing.length, role: `mpe_${kind}` } },
  );
}
