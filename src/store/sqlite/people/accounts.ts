import { personKey, type AccountChange, type AccountRow } from '../../people-store.js';
import { flag, integer, integerOrNull, text } from '../columns.js';
import type { Connection, SqlRow } from '../connection.js';

/** Adds an account; false where the name is taken. */
export function addAccount(c: Connection, row: AccountRow): boolean {
  return (
    c.run(
      `INSERT INTO MPE_Accounts (AccountKey, Name, Roles, PasswordHash, Disabled, Revision, CreatedAt, ChangedAt, LastSignInAt)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      personKey(row.name),
      row.name,
      JSON.stringify(row.roles),
      row.passwordHash,
      row.disabled ? 1 : 0,
      row.revision,
      row.createdAtMs,
      row.changedAtMs,
      row.lastSignInAtMs,
    ) > 0
  );
}

/** An account by its name, whatever the case. */
export function findAccount(c: Connection, name: string): AccountRow | null {
  const row = c.get('SELECT * FROM MPE_Accounts WHERE AccountKey = ?', personKey(name));
  return row === undefined ? null : accountOf(row);
}

/** All of them, by name. */
export function listAccounts(c: Connection): AccountRow[] {
  return c.all('SELECT * FROM MPE_Accounts ORDER BY AccountKey').map(accountOf);
}

/** Changes what is given; false where there is no such account. */
export function changeAccount(c: Connection, name: string, change: AccountChange, atMs: number): boolean {
  return (
    c.run(
      `UPDATE MPE_Accounts SET Roles = coalesce(?, Roles), PasswordHash = coalesce(?, PasswordHash),
         Disabled = coalesce(?, Disabled), Revision = Revision + 1, ChangedAt = ?
       WHERE AccountKey = ?`,
      change.roles === undefined ? null : JSON.stringify(change.roles),
      change.passwordHash ?? null,
      change.disabled === undefined ? null : change.disabled ? 1 : 0,
      atMs,
      personKey(name),
    ) > 0
  );
}

/** Remembers when somebody signed in. */
export function noteSignIn(c: Connection, name: string, atMs: number): void {
  c.run('UPDATE MPE_Accounts SET LastSignInAt = ? WHERE AccountKey = ?', atMs, personKey(name));
}

function accountOf(row: SqlRow): AccountRow {
  return {
    name: text(row, 'Name'),
    roles: JSON.parse(text(row, 'Roles')) as string[],
    passwordHash: text(row, 'PasswordHash'),
    disabled: flag(row, 'Disabled'),
    revision: integer(row, 'Revision'),
    createdAtMs: integer(row, 'CreatedAt'),
    changedAtMs: integer(row, 'ChangedAt'),
    lastSignInAtMs: integerOrNull(row, 'LastSignInAt'),
  };
}
