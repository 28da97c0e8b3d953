import { z } from 'zod';
import { isMpeError } from '../../ops/errors.js';
import { parseGuid, type Guid } from '../../protocol/guid.js';
import { VOLUME_TYPES } from '../../protocol/vocabulary.js';
import { ROTATION_STATES } from '../rotation/state.js';

/** A GUID as people write it; canonical inside. */
export const guid = z
  .string()
  .max(64)
  .transform((text, context): Guid => {
    try {
      return parseGuid(text);
    } catch (error) {
      if (!isMpeError(error, 'VALUE_INVALID')) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });

export const shortText = z.string().max(256);
export const time = z.int().min(0).describe('Milliseconds since 1970-01-01T00:00:00Z');
export const timeOrNull = time.nullable();
export const limit = z.coerce.number().int().min(1).max(500).default(100);
export const flagText = z.enum(['true', 'false']).transform((text) => text === 'true');

/** A list under its name. */
export const list = <T extends z.ZodType>(name: string, item: T): z.ZodObject =>
  z.object({ [name]: z.array(item) });

export const endUser = z.strictObject({ domain: shortText.min(1), account: shortText.min(1) });

const id = z.string().describe('A GUID, lower case');

export const holder = z.object({
  clientId: id,
  machineName: z.string(),
  domain: z.string(),
  current: z.boolean(),
  supersededAtMs: timeOrNull,
  reportedAtMs: timeOrNull,
});

/** A key without its value. */
export const keyLine = z.object({
  keyId: id,
  volumeId: id,
  volumeType: z.enum(VOLUME_TYPES),
  driveLabel: z.string(),
  firstStoredAtMs: time,
  lastProvenAtMs: time,
  hasPackage: z.boolean(),
  state: z.object({
    current: z.boolean(),
    supersededAtMs: timeOrNull,
    unproven: z.boolean(),
    conflicting: z.boolean(),
    damaged: z.boolean(),
    exposedAtMs: timeOrNull,
  }),
  holders: z.array(holder),
});

export const keyList = z.object({ keys: z.array(keyLine), more: z.boolean() });

export const rotationLine = z.object({
  requestId: id,
  keyId: id,
  volumeId: id,
  machineName: z.string(),
  state: z.enum(ROTATION_STATES),
  detail: z.string(),
  origin: z.string(),
  openedAtMs: time,
  deadlineMs: time,
  overdue: z.boolean(),
  closedAtMs: timeOrNull,
  newKeyId: id.nullable(),
});

const machine = z.object({
  clientId: id,
  name: z.string(),
  domain: z.string(),
  provenAtMs: time,
  current: z.boolean(),
  reportedAtMs: timeOrNull,
});

/** What a disclosure shows: the one answer that holds keys. */
export const shown = z.object({
  outcome: z.literal('shown'),
  auditSequence: z.string(),
  shownAtMs: time,
  keys: z.array(
    z.object({
      kind: z.enum(['RECOVERY_PASSWORD', 'KEY_PACKAGE', 'TPM_OWNER_AUTH']),
      keyId: id,
      volumeId: id.nullable(),
      volumeType: z.enum(VOLUME_TYPES),
      driveLabel: z.string(),
      value: z.string().describe('48 digits in groups; a package or a hash in base64'),
      machines: z.array(machine),
      storedAtMs: time,
      state: z.enum(['CURRENT', 'SUPERSEDED', 'NOT_REPORTED']),
      conflicting: z.boolean(),
      exposedAtMs: timeOrNull,
      rotationRequestId: id.nullable(),
    }),
  ),
  withheld: z.array(
    z.object({
      keyId: id,
      volumeId: id.nullable(),
      machines: z.array(machine),
      why: z.enum(['DAMAGED', 'KEY_VERSION_UNAVAILABLE', 'NOT_YOURS']),
    }),
  ),
});

export const ownMachine = z.object({
  clientId: id,
  machineName: z.string(),
  domain: z.string(),
  lastReportAtMs: timeOrNull,
});
