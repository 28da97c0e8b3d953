import type { BreakGlassRow } from '../../people-store.js';
import { integer, integerOrNull, text } from '../columns.js';
import type { Connection } from '../connection.js';

/** The account, or null where it was never set. */
export function readBreakGlass(c: Connection): BreakGlassRow | null {
  const row = c.get('SELECT * FROM MPE_BreakGlass WHERE Id = 1');
  if (row === undefined) return null;
  return {
    passwordHash: text(row, 'PasswordHash'),
    sealedTotp: text(row, 'SealedTotp'),
    lastStep: integer(row, 'LastStep'),
    armedUntilMs: integerOrNull(row, 'ArmedUntil'),
    armedBy: text(row, 'ArmedBy'),
    setAtMs: integer(row, 'SetAt'),
  };
}

/** Sets password and second factor anew, not armed. */
export function setBreakGlass(
  c: Connection,
  row: Pick<BreakGlassRow, 'passwordHash' | 'sealedTotp' | 'setAtMs'>,
): void {
  c.run(
    `INSERT INTO MPE_BreakGlass (Id, PasswordHash, SealedTotp, LastStep, LastUse, ArmedUntil, ArmedBy, SetAt)
     VALUES (1, ?1, ?2, 0, '', NULL, '', ?3)
     ON CONFLICT (Id) DO UPDATE SET PasswordHash = ?1, SealedTotp = ?2, LastStep = 0, ArmedUntil = NULL,
       ArmedBy = '', SetAt = ?3`,
    row.passwordHash,
    row.sealedTotp,
    row.setAtMs,
  );
}

/** Arms it until then, or (null) no more; false where it was never set. */
export function armBreakGlass(c: Connection, untilMs: number | null, by: string): boolean {
  return c.run('UPDATE MPE_BreakGlass SET ArmedUntil = ?, ArmedBy = ? WHERE Id = 1', untilMs, by) > 0;
}

/** Marks a time step as used; false where it, or a later one, was. */
export function useBreakGlassStep(c: Connection, step: number): boolean {
  return c.run('UPDATE MPE_BreakGlass SET LastStep = ?1 WHERE Id = 1 AND LastStep < ?1', step) > 0;
}
