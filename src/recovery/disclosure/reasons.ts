import { MpeError } from '../../ops/errors.js';

/** Reasons of the helpdesk portal for a recovery password or key package, as the original lists them. */
export const DRIVE_UNLOCK_REASONS = [
  'Operating system boot order changed',
  'BIOS changed',
  'Operating system files modified',
  'Lost startup key',
  'Lost PIN',
  'TPM reset',
  'Lost passphrase',
  'Lost smartcard',
  'Other',
] as const;
export type DriveUnlockReason = (typeof DRIVE_UNLOCK_REASONS)[number];

/** Reasons of the helpdesk portal for a TPM owner password file. */
export const TPM_REASONS = [
  'Reset PIN lockout',
  'Turn on TPM',
  'Turn off TPM',
  'Change TPM password',
  'Clear TPM',
  'Other',
] as const;
export type TpmReason = (typeof TPM_REASONS)[number];

/** Reasons of the self-service portal. */
export const SELF_SERVICE_REASONS = ['BIOS/TPM changed', 'OS files modified', 'Lost PIN/passphrase'] as const;
export type SelfServiceReason = (typeof SELF_SERVICE_REASONS)[number];

/** The lists, by who asks and for what. Self-service shows no TPM password hash. */
export type ReasonList = 'drive-unlock' | 'tpm' | 'self-service';

const LISTS: Readonly<Record<ReasonList, readonly string[]>> = {
  'drive-unlock': DRIVE_UNLOCK_REASONS,
  tpm: TPM_REASONS,
  'self-service': SELF_SERVICE_REASONS,
};

/** Characters of a reason in a person's own words. */
export const REASON_TEXT_MAX = 256;

/** A list in its order. */
export function reasonsOf(list: ReasonList): readonly string[] {
  return LISTS[list];
}

/**
 * The reason as the audit takes it: one of the list, or, where the list ends with `Other`, a text of the
 * person's own (the original takes it there alone): `Other: <text>`.
 *
 * @throws MpeError VALUE_INVALID
 */
export function checkReason(list: ReasonList, reason: string): string {
  const listed = LISTS[list].find((one) => one.toLowerCase() === reason.trim().toLowerCase());
  if (listed !== undefined) return listed;
  const isFree = LISTS[list].includes('Other');
  const text = reason.trim().replace(/^other\s*:\s*/i, '');
  if (isFree && text !== '' && text.length <= REASON_TEXT_MAX) return `Other: ${text}`;
  throw new MpeError(
    'VALUE_INVALID',
    `a reason is needed: ${LISTS[list].join('; ')}` +
      (isFree ? `; or a text of your own of at most ${REASON_TEXT_MAX} characters` : ''),
  );
}
