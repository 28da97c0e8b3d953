import { personKey, type AccountChange, type AccountRow } from '../../people-store.js';
import { flag, integer, json, text, time, timeOrNull } from '../columns.js';
import { isUniqueViolation } from '../errors.js';
import { flagOf, intOf, textOf, timeOf, wordOf } from '../parameters.js';
import { firstRow, firstSet, type Session, type SqlRow } from '../session.js';

const COLUMNS = 'Name, Roles, PasswordHash, Disabled, Revision, CreatedAt, ChangedAt, LastSignInAt';

/** Adds an account; false where the name is taken. */
export async function addAccount(session: Session, row: AccountRow): Promise<boolean> {
  try {
    await session.query(
      `INSERT INTO MPE_Accounts (AccountKey, ${COLUMNS})
       VALUES (@key, @name, @roles, @hash, @disabled, @revision, @created, @changed, @signedIn)`,
      {
        key: textOf(personKey(row.name)),
        name: textOf(row.name),
        roles: textOf(JSON.stringify(row.roles)),
        hash: wordOf(row.passwordHash),
        disabled: flagOf(row.disabled),
        revision: intOf(row.revision),
        created: timeOf(row.createdAtMs),
        changed: timeOf(row.changedAtMs),
        signedIn: timeOf(row.lastSignInAtMs),
      },
    );
    return true;
  } catch (error) {
    if (isUniqueViolation(error, 'PK_MPE_Accounts')) return false;
    throw error;
  }
}

/** An account by its name, whatever the case. */
export async function findAccount(session: Session, name: string): Promise<AccountRow | null> {
  const row = firstRow(
    await session.query(`SELECT ${COLUMNS} FROM MPE_Accounts WHERE AccountKey = @key`, {
      key: textOf(personKey(name)),
    }),
  );
  return row === undefined ? null : accountOf(row);
}

/** All of them, by name. */
export async function listAccounts(session: Session): Promise<AccountRow[]> {
  return firstSet(await session.query(`SELECT ${COLUMNS} FROM MPE_Accounts ORDER BY AccountKey`)).map(
    accountOf,
  );
}

/** Changes what is given; false where there is no such account. */
export async function changeAccount(
  session: Session,
  name: string,
  change: AccountChange,
  atMs: number,
): Promise<boolean> {
  const sets = await session.query(
    `UPDATE MPE_Accounts SET Roles = COALESCE(@roles, Roles), PasswordHash = COALESCE(@hash, PasswordHash),
       Disabled = COALESCE(@disabled, Disabled), Revision = Revision + 1, ChangedAt = @at
     WHERE AccountKey = @key;
     SELECT Name FROM MPE_Accounts WHERE AccountKey = @key;`,
    {
      key: textOf(personKey(name)),
      roles: textOf(change.roles === undefined ? null : JSON.stringify(change.roles)),
      hash: wordOf(change.passwordHash ?? null),
      disabled: flagOf(change.disabled ?? null),
      at: timeOf(atMs),
    },
  );
  return firstRow(sets) !== undefined;
}

/** Remembers when somebody signed in. */
export async function noteSignIn(session: Session, name: string, atMs: number): Promise<void> {
  await session.query('UPDATE MPE_Accounts SET LastSignInAt = @at WHERE AccountKey = @key', {
    key: textOf(personKey(name)),
    at: timeOf(atMs),
  });
}

function accountOf(row: SqlRow): AccountRow {
  return {
    name: text(row, 'Name'),
    roles: json<string[]>(row, 'Roles'),
    passwordHash: text(row, 'PasswordHash'),
    disabled: flag(row, 'Disabled'),
    revision: integer(row, 'Revision'),
    createdAtMs: time(row, 'CreatedAt'),
    changedAtMs: time(row, 'ChangedAt'),
    lastSignInAtMs: timeOrNull(row, 'LastSignInAt'),
  };
}
