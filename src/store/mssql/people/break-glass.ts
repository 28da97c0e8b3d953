import { newGuid } from '../../../protocol/guid.js';
import type { BreakGlassRow } from '../../people-store.js';
import { again } from '../again.js';
import { integer, text, time, timeOrNull } from '../columns.js';
import { bigintOf, textOf, timeOf, wordOf } from '../parameters.js';
import { firstRow, type Session } from '../session.js';

/** The account, or null where it was never set. */
export async function readBreakGlass(session: Session): Promise<BreakGlassRow | null> {
  const row = firstRow(
    await session.query(
      'SELECT PasswordHash, SealedTotp, LastStep, ArmedUntil, ArmedBy, SetAt FROM MPE_BreakGlass WHERE Id = 1',
    ),
  );
  if (row === undefined) return null;
  return {
    passwordHash: text(row, 'PasswordHash'),
    sealedTotp: text(row, 'SealedTotp'),
    lastStep: integer(row, 'LastStep'),
    armedUntilMs: timeOrNull(row, 'ArmedUntil'),
    armedBy: text(row, 'ArmedBy'),
    setAtMs: time(row, 'SetAt'),
  };
}

/** Sets password and second factor anew, not armed. */
export async function setBreakGlass(
  session: Session,
  row: Pick<BreakGlassRow, 'passwordHash' | 'sealedTotp' | 'setAtMs'>,
): Promise<void> {
  await again('setting the break-glass account', () =>
    session.query(
      `UPDATE MPE_BreakGlass SET PasswordHash = @hash, SealedTotp = @totp, LastStep = 0, ArmedUntil = NULL,
         ArmedBy = N'', SetAt = @at WHERE Id = 1;
       INSERT INTO MPE_BreakGlass (Id, PasswordHash, SealedTotp, LastStep, LastUse, ArmedUntil, ArmedBy, SetAt)
       SELECT 1, @hash, @totp, 0, '', NULL, N'', @at
       WHERE NOT EXISTS (SELECT 1 FROM MPE_BreakGlass WHERE Id = 1);`,
      { hash: wordOf(row.passwordHash), totp: wordOf(row.sealedTotp), at: timeOf(row.setAtMs) },
    ),
  );
}

/** Arms it until then, or (null) no more; false where it was never set. */
export async function armBreakGlass(session: Session, untilMs: number | null, by: string): Promise<boolean> {
  const sets = await session.query(
    `UPDATE MPE_BreakGlass SET ArmedUntil = @until, ArmedBy = @by WHERE Id = 1;
     SELECT Id FROM MPE_BreakGlass WHERE Id = 1;`,
    { until: timeOf(untilMs), by: textOf(by) },
  );
  return firstRow(sets) !== undefined;
}

/** Marks a time step as used; false where it, or a later one, was. Of two at once the first one's use stays. */
export async function useBreakGlassStep(session: Session, step: number): Promise<boolean> {
  const use = newGuid();
  const sets = await session.query(
    `UPDATE MPE_BreakGlass SET LastStep = @step, LastUse = @use WHERE Id = 1 AND LastStep < @step;
     SELECT LastUse FROM MPE_BreakGlass WHERE Id = 1;`,
    { step: bigintOf(BigInt(step)), use: wordOf(use) },
  );
  const row = firstRow(sets);
  return row !== undefined && text(row, 'LastUse') === use;
}
