import { personKey, type FoundSession, type SessionRow } from '../../people-store.js';
import { bytes, flag, integer, integerOrNull, json, text, time, timeOrNull, word } from '../columns.js';
import { bytesOf, flagOf, intOf, textOf, timeOf, wordOf } from '../parameters.js';
import { firstRow, type Session } from '../session.js';

/** Adds a session. */
export async function addSession(session: Session, row: SessionRow): Promise<void> {
  await session.query(
    `INSERT INTO MPE_Sessions (TokenHash, PersonKey, PersonName, Roles, SignIn, Portal, AccountRevision,
       NoticeAccepted, CreatedAt, LastSeenAt, EndsAt)
     VALUES (@hash, @key, @name, @roles, @signIn, @portal, @revision, @notice, @created, @seen, @ends)`,
    {
      hash: bytesOf(row.tokenHash),
      key: textOf(personKey(row.personName)),
      name: textOf(row.personName),
      roles: textOf(JSON.stringify(row.roles)),
      signIn: wordOf(row.signIn),
      portal: wordOf(row.portal),
      revision: intOf(row.accountRevision),
      notice: flagOf(row.noticeAccepted),
      created: timeOf(row.createdAtMs),
      seen: timeOf(row.lastSeenAtMs),
      ends: timeOf(row.endsAtMs),
    },
  );
}

/** A session, and what its account is now. */
export async function findSession(session: Session, tokenHash: Uint8Array): Promise<FoundSession | null> {
  const row = firstRow(
    await session.query(
      `SELECT s.TokenHash, s.PersonName, s.Roles, s.SignIn, s.Portal, s.AccountRevision, s.NoticeAccepted,
         s.CreatedAt, s.LastSeenAt, s.EndsAt, a.Roles AS AccountRoles, a.Disabled, a.Revision,
         (SELECT b.ArmedUntil FROM MPE_BreakGlass b WHERE b.Id = 1) AS ArmedUntil
       FROM MPE_Sessions s LEFT JOIN MPE_Accounts a ON a.AccountKey = s.PersonKey AND s.SignIn = 'local'
       WHERE s.TokenHash = @hash`,
      { hash: bytesOf(tokenHash) },
    ),
  );
  if (row === undefined) return null;
  return {
    session: {
      tokenHash: bytes(row, 'TokenHash'),
      personName: text(row, 'PersonName'),
      roles: json<string[]>(row, 'Roles'),
      signIn: word(row, 'SignIn', ['oidc', 'local', 'break-glass'] as const),
      portal: word(row, 'Portal', ['helpdesk', 'self-service'] as const),
      accountRevision: integerOrNull(row, 'AccountRevision'),
      noticeAccepted: flag(row, 'NoticeAccepted'),
      createdAtMs: time(row, 'CreatedAt'),
      lastSeenAtMs: time(row, 'LastSeenAt'),
      endsAtMs: time(row, 'EndsAt'),
    },
    account:
      row['AccountRoles'] === null
        ? null
        : {
            roles: json<string[]>(row, 'AccountRoles'),
            disabled: flag(row, 'Disabled'),
            revision: integer(row, 'Revision'),
          },
    armedUntilMs: timeOrNull(row, 'ArmedUntil'),
  };
}

/** Remembers that a session was used; only forwards. */
export async function touchSession(session: Session, tokenHash: Uint8Array, atMs: number): Promise<void> {
  await session.query(
    'UPDATE MPE_Sessions SET LastSeenAt = @at WHERE TokenHash = @hash AND LastSeenAt < @at',
    { hash: bytesOf(tokenHash), at: timeOf(atMs) },
  );
}

/** Remembers that the notice was accepted. */
export async function acceptNotice(session: Session, tokenHash: Uint8Array): Promise<void> {
  await session.query('UPDATE MPE_Sessions SET NoticeAccepted = 1 WHERE TokenHash = @hash', {
    hash: bytesOf(tokenHash),
  });
}

/** Ends one. */
export async function endSession(session: Session, tokenHash: Uint8Array): Promise<void> {
  await session.query('DELETE FROM MPE_Sessions WHERE TokenHash = @hash', { hash: bytesOf(tokenHash) });
}

/** Ends all of a person. */
export async function endSessionsOf(session: Session, name: string): Promise<void> {
  await session.query('DELETE FROM MPE_Sessions WHERE PersonKey = @key', { key: textOf(personKey(name)) });
}

/** Removes what ended before. */
export async function pruneSessions(session: Session, beforeMs: number): Promise<void> {
  await session.query('DELETE FROM MPE_Sessions WHERE EndsAt < @before', { before: timeOf(beforeMs) });
}
