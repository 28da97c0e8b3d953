import { z } from 'zod';
import { MpeError } from '../../ops/errors.js';
import { POLICY_MODES } from '../../protocol/vocabulary.js';
import type { PolicyRing, PolicyRow } from '../../store/site-store.js';

/** Tags as enrolment tokens and operators give them to clients. */
export const TAG = /^[A-Za-z0-9._-]{1,64}$/;

/** Below this many minutes a client may be told out of date for a moment; the original warns too. */
export const SHORT_INTERVAL_MINUTES = 60;

const TAG_RULE = 'must have 1 to 64 of A-Z a-z 0-9 . _ -';
const tag = z.string(TAG_RULE).regex(TAG, TAG_RULE);
const yesOrNo = z.boolean('must be true or false');

/** A whole number within bounds; whatever is wrong with it, the bounds are what helps. */
function whole(min: number, max: number, of: string): z.ZodInt {
  const error = `must be a whole number from ${min} to ${max} (${of})`;
  return z.int(error).min(min, error).max(max, error);
}

/** What a person says of a ring. */
const ringSchema = z.strictObject({
  tag,
  opens: z.enum(['BY_HAND', 'AFTER_PREVIOUS'], 'must be BY_HAND or AFTER_PREVIOUS').default('BY_HAND'),
  failureLimit: whole(0, 1000, 'thousandths of the machines heard from')
    .default(20)
    .describe('Thousandths of the machines heard from'),
  soakMinutes: whole(0, 43_200, 'minutes').default(1440),
  rotationsPerHour: whole(0, 100_000, 'rotations').default(100),
});

/** The settings of a policy, each by itself; {@link policySettings} checks them together. */
export const settingsSchema = z.strictObject({
  name: z
    .string('must be text of 1 to 256 characters')
    .trim()
    .min(1, 'must not be empty')
    .max(256, 'must have at most 256 characters')
    .regex(/^[^\p{Cc}]*$/u, 'must be plain text'),
  mode: z.enum(POLICY_MODES, `must be one of ${POLICY_MODES.join(', ')}`),
  targetTag: tag.nullable(),
  storePackages: yesOrNo,
  removableDrives: yesOrNo,
  tpmOwnerAuth: yesOrNo,
  checkIntervalMinutes: whole(1, 2880, 'minutes'),
  mbamMigration: yesOrNo,
  rotateBesideOthers: yesOrNo,
  rings: z.array(ringSchema, 'must be a list of rings').max(100, 'must have at most 100 rings'),
});

/** The settings of a policy that people choose. */
export type PolicySettings = z.output<typeof settingsSchema>;
/** The settings of a ring that people choose. */
export type RingSettings = z.output<typeof ringSchema>;
/** Settings as they come from a person or a request. */
export type PolicySettingsInput = Partial<z.input<typeof settingsSchema>>;

/** What a new policy is where nothing else is said: it takes everything and begins nothing by itself. */
export const POLICY_DEFAULTS: Omit<PolicySettings, 'name'> = {
  mode: 'ESCROW',
  targetTag: null,
  storePackages: true,
  removableDrives: true,
  tpmOwnerAuth: true,
  checkIntervalMinutes: 90,
  mbamMigration: false,
  rotateBesideOthers: false,
  rings: [],
};

/**
 * Checks settings, with every problem in one error.
 *
 * @throws MpeError VALUE_INVALID
 */
export function policySettings(input: unknown): PolicySettings {
  const parsed = settingsSchema.safeParse(input);
  const problems = parsed.success ? together(parsed.data) : parsed.error.issues.map(problemOf);
  if (parsed.success && problems.length === 0) return parsed.data;
  throw new MpeError('VALUE_INVALID', `the policy has problems:\n  ${problems.join('\n  ')}`);
}

/** `ring 2, soakMinutes: …`: where it is, as people count, and what it must be. */
function problemOf(issue: z.core.$ZodIssue): string {
  const [first, at, ...inner] = issue.path.map(String);
  const where =
    first === 'rings' && at !== undefined
      ? [`ring ${Number(at) + 1}`, ...inner].join(', ')
      : (first ?? 'policy');
  if (issue.code !== 'unrecognized_keys') return `${where}: ${issue.message}`;
  const known = Object.keys((first === 'rings' ? ringSchema : settingsSchema).shape);
  return `${where}: ${issue.keys.map((key) => `"${key}"`).join(', ')} is not known; it may have ${known.join(', ')}`;
}

/** Problems of values that are right one by one. */
function together(settings: PolicySettings): string[] {
  const problems: string[] = [];
  const tags = settings.rings.map((ring) => ring.tag);
  const twice = tags.find((one, i) => tags.indexOf(one) !== i);
  if (twice !== undefined)
    problems.push(`rings: the tag ${twice} is in two rings; each ring needs a tag of its own`);
  if (settings.rings.length > 0 && settings.targetTag !== null)
    problems.push(
      'targetTag: a policy with rings has their tags as its targets; leave the one tag away (--all-clients)',
    );
  if (settings.mbamMigration && settings.mode !== 'MANAGE')
    problems.push('mbamMigration: rotates keys by itself, which needs the mode MANAGE (--mode manage)');
  if (settings.mbamMigration && settings.rings.length === 0)
    problems.push('mbamMigration: needs rings, so that not every machine rotates at once (--ring)');
  return problems;
}

/** What is allowed and still deserves a word. */
export function policyWarnings(settings: PolicySettings): readonly string[] {
  const warnings: string[] = [];
  if (settings.checkIntervalMinutes < SHORT_INTERVAL_MINUTES)
    warnings.push(
      `a check interval below ${SHORT_INTERVAL_MINUTES} minutes loads the site and shows states that are briefly wrong`,
    );
  if (settings.rotateBesideOthers)
    warnings.push(
      'keys are rotated although MBAM, a group policy or Intune manages a machine too: the other one is left with an old key',
    );
  return warnings;
}

/** The settings of a stored policy. */
export function settingsOf(policy: PolicyRow): PolicySettings {
  const { name, mode, targetTag, storePackages, removableDrives, tpmOwnerAuth } = policy;
  const { checkIntervalMinutes, mbamMigration, rotateBesideOthers, rings } = policy;
  return {
    ...{ name, mode, targetTag, storePackages, removableDrives, tpmOwnerAuth },
    ...{ checkIntervalMinutes, mbamMigration, rotateBesideOthers },
    rings: rings.map(({ tag: ringTag, opens, failureLimit, soakMinutes, rotationsPerHour }) => ({
      tag: ringTag,
      ...{ opens, failureLimit, soakMinutes, rotationsPerHour },
    })),
  };
}

/** Rings as they are stored: those whose tag was there before keep what they are. */
export function ringsOf(settings: PolicySettings, before: readonly PolicyRing[]): PolicyRing[] {
  return settings.rings.map((ring, i) => {
    const old = before.find((one) => one.tag === ring.tag);
    return {
      ...ring,
      position: i + 1,
      state: old?.state ?? 'CLOSED',
      openedAtMs: old?.openedAtMs ?? null,
      pausedAtMs: old?.pausedAtMs ?? null,
      pauseReason: old?.pauseReason ?? '',
    };
  });
}
