import { personKey, type FoundSession, type SessionRow } from '../../people-store.js';
import { bytes, flag, integer, integerOrNull, text, textOrNull, word } from '../columns.js';
import type { Connection } from '../connection.js';

/** Adds a session. */
export function addSession(c: Connection, row: SessionRow): void {
  c.run(
    `INSERT INTO MPE_Sessions (TokenHash, PersonKey, PersonName, Roles, SignIn, Portal, AccountRevision,
       NoticeAccepted, CreatedAt, LastSeenAt, EndsAt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    row.tokenHash,
    personKey(row.personName),
    row.personName,
    JSON.stringify(row.roles),
    row.signIn,
    row.portal,
    row.accountRevision,
    row.noticeAccepted ? 1 : 0,
    row.createdAtMs,
    row.lastSeenAtMs,
    row.endsAtMs,
  );
}

/** A session, and what its account is now. */
export function findSession(c: Connection, tokenHash: Uint8Array): FoundSession | null {
  const row = c.get(
    `SELECT s.*, a.Roles AS AccountRoles, a.Disabled, a.Revision,
       (SELECT b.ArmedUntil FROM MPE_BreakGlass b) AS ArmedUntil
     FROM MPE_Sessions s LEFT JOIN MPE_Accounts a ON a.AccountKey = s.PersonKey AND s.SignIn = 'local'
     WHERE s.TokenHash = ?`,
    tokenHash,
  );
  if (row === undefined) return null;
  const accountRoles = textOrNull(row, 'AccountRoles');
  return {
    session: {
      tokenHash: bytes(row, 'TokenHash'),
      personName: text(row, 'PersonName'),
      roles: JSON.parse(text(row, 'Roles')) as string[],
      signIn: word(row, 'SignIn', ['oidc', 'local', 'break-glass'] as const),
      portal: word(row, 'Portal', ['helpdesk', 'self-service'] as const),
      accountRevision: integerOrNull(row, 'AccountRevision'),
      noticeAccepted: flag(row, 'NoticeAccepted'),
      createdAtMs: integer(row, 'CreatedAt'),
      lastSeenAtMs: integer(row, 'LastSeenAt'),
      endsAtMs: integer(row, 'EndsAt'),
    },
    account:
      accountRoles === null
        ? null
        : {
            roles: JSON.parse(accountRoles) as string[],
            disabled: flag(row, 'Disabled'),
            revision: integer(row, 'Revision'),
          },
    armedUntilMs: integerOrNull(row, 'ArmedUntil'),
  };
}

/** Remembers that a session was used; only forwards. */
export function touchSession(c: Connection, tokenHash: Uint8Array, atMs: number): void {
  c.run('UPDATE MPE_Sessions SET LastSeenAt = max(LastSeenAt, ?) WHERE TokenHash = ?', atMs, tokenHash);
}

/** Remembers that the notice was accepted. */
export function acceptNotice(c: Connection, tokenHash: Uint8Array): void {
  c.run('UPDATE MPE_Sessions SET NoticeAccepted = 1 WHERE TokenHash = ?', tokenHash);
}

/** Ends one. */
export function endSession(c: Connection, tokenHash: Uint8Array): void {
  c.run('DELETE FROM MPE_Sessions WHERE TokenHash = ?', tokenHash);
}

/** Ends all of a person. */
export function endSessionsOf(c: Connection, name: string): void {
  c.run('DELETE FROM MPE_Sessions WHERE PersonKey = ?', personKey(name));
}

/** Removes what ended before. */
export function pruneSessions(c: Connection, beforeMs: number): void {
  c.run('DELETE FROM MPE_Sessions WHERE EndsAt < ?', beforeMs);
}
