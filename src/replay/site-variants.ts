/**
 * Sites that fixtures need. All have the same GUID, root, sealing keys and fingerprint key, so that
 * every built token fits every one; they differ in policy, certificate, consent and in
 * what workers are started with. A gateway run
 * replays the cases of one variant.
 */
export const SITE_VARIANTS = [
  'standard',
  'observe',
  'no-removable',
  'no-tpm',
  'password-only',
  'plain-text',
  'no-consent',
  'quarantine-full',
  'approval',
  'approval-full',
  'version-2010',
] as const;

/** A name of {@link SITE_VARIANTS}. */
export type SiteVariant = (typeof SITE_VARIANTS)[number];
