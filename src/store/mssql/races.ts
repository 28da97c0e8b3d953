import { isUniqueViolation, sqlErrorClass, thrownNumber } from './errors.js';

/** The fence: one row a message. */
const FENCE = 'PK_MPE_Outcomes';

/** Constraints on which two commits may meet: whoever comes second does its work again. */
const MEETING_POINTS = [
  FENCE,
  'PK_MPE_Volumes',
  'UQ_MPE_Keys_SecretId',
  'UQ_MPE_Keys_Identity',
  'UQ_MPE_TpmOwnerAuths_SecretId',
  'UQ_MPE_TpmOwnerAuths_Identity',
  'PK_MPE_KeySecrets',
  'PK_MPE_TpmOwnerAuthSecrets',
  'PK_MPE_KeyProofs',
  'PK_MPE_TpmOwnerAuthProofs',
  'PK_MPE_Reports',
  'PK_MPE_ClientStates',
  'PK_MPE_ClientUsers',
  'PK_MPE_RotationReports',
  'PK_MPE_RotationDeliveries',
  'PK_MPE_ClientFlags',
];

/** Guards of the schema that a commit meets where its facts have aged: plain text, rank, outcome. */
const MEETING_GUARDS: ReadonlySet<number> = new Set([51002, 51003, 51004]);

/** What an error of a commit says of others: `fence`, another meeting point, or nothing. */
export function raceOf(error: unknown): 'fence' | 'elsewhere' | null {
  if (sqlErrorClass(error) === 'guard') {
    return MEETING_GUARDS.has(thrownNumber(error) ?? 0) ? 'elsewhere' : null;
  }
  if (isUniqueViolation(error, FENCE)) return 'fence';
  return MEETING_POINTS.some((name) => isUniqueViolation(error, name)) ? 'elsewhere' : null;
}
