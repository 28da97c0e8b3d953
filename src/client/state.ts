import { z } from 'zod';
import { MpeError } from '../ops/errors.js';
import type { Guid } from '../protocol/guid.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import {
  BODY_TYPES,
  DISPOSITIONS,
  ITEM_REASONS,
  ITEM_STATUSES,
  POLICY_MODES,
  REASONS,
} from '../protocol/vocabulary.js';

/**
 * What a client keeps on disk, in one file. It holds secrets, because it must: the client's private
 * key, and recovery passwords that are not committed yet. A committed password is gone from it with
 * the write that records the reply.
 */

const guid = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/)
  .transform((text) => text as Guid);
const base64 = z.base64();

const privateKey = z
  .object({
    kty: z.literal('EC'),
    crv: z.literal('P-256'),
    kid: z.string(),
    alg: z.literal('ES256'),
    x: z.string(),
    y: z.string(),
    d: z.string(),
  })
  .transform((jwk): PrivateJwk => jwk);

const storedMessage = z.object({
  messageId: guid,
  /** 1 to 2^63-1, decimal. */
  sequence: z.string().regex(/^[1-9][0-9]{0,18}$/),
  bodyType: z.enum(BODY_TYPES),
  /** The signed payload, as made once: never encoded again. Holds the reply key. */
  payload: base64,
  createdAtMs: z.number(),
  /** What the site last said of it, sealed or not; for people. */
  lastSaid: z.string(),
});

const heldKey = z.object({
  /** Hex where the bytes sent are no GUID. */
  volumeId: z.string(),
  keyId: z.string(),
  recoveryPassword: z.string(),
  keyPackage: base64.nullable(),
  /** The verified reason why it is not committed. */
  reason: z.enum(ITEM_REASONS),
  badGroup: z.number(),
  messageId: guid,
});

const heldTpmOwnerAuth = z.object({
  ownerAuth: base64,
  /** The verified reason why it is not committed. */
  reason: z.enum(ITEM_REASONS),
  messageId: guid,
});

const keyOutcome = z.object({
  /** Hex where the bytes sent are no GUID. */
  volumeId: z.string(),
  keyId: z.string(),
  status: z.enum(ITEM_STATUSES),
  reason: z.enum(ITEM_REASONS),
  badGroup: z.number(),
  /** The result of the key package, where one was sent. */
  keyPackage: z.object({ status: z.enum(ITEM_STATUSES), reason: z.enum(ITEM_REASONS) }).nullable(),
});

const settledMessage = z.object({
  messageId: guid,
  bodyType: z.enum(BODY_TYPES),
  sequence: z.string(),
  disposition: z.enum(DISPOSITIONS),
  reason: z.enum(REASONS),
  serverTimeMs: z.number(),
  keys: z.array(keyOutcome),
  tpmOwnerAuth: z.object({ status: z.enum(ITEM_STATUSES), reason: z.enum(ITEM_REASONS) }).nullable(),
});

const command = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('ROTATE_KEY'),
    requestId: guid,
    volumeId: guid,
    keyId: guid,
    deadlineMs: z.number(),
  }),
  z.object({ type: z.literal('ESCROW'), volumeId: guid, keyIds: z.array(guid) }),
]);

const rotating = z.object({
  requestId: guid,
  volumeId: guid,
  /** The exposed protector. */
  keyId: guid,
  /** The protectors that the drive had before a new one was added; null before that. */
  before: z.array(guid).nullable(),
  newKeyId: guid.nullable(),
  /** The message that brings the new key. */
  escrowId: guid.nullable(),
  /** The last claim that was made of it, or GONE: nothing is left to do. */
  said: z.string(),
});

const policy = z.object({
  mode: z.enum(POLICY_MODES),
  checkIntervalMinutes: z.number(),
  recoveryPasswords: z.boolean(),
  keyPackages: z.boolean(),
  removableDrives: z.boolean(),
  tpmOwnerAuth: z.boolean(),
});

const clientState = z.object({
  /** Rises when an older program could not read the file. */
  format: z.literal(1),
  url: z.string(),
  siteGuid: guid,
  rootThumbprint: z.string(),
  /** The newest site document, as signed. */
  siteDocument: z.string(),
  siteDocumentVersion: z.number(),
  /** The CA that TLS is verified against, PEM. */
  gatewayCa: z.string(),
  clientId: guid,
  key: privateKey,
  registered: z.boolean(),
  /** The RegistrationRequest bytes until the registration is confirmed (holds the token's secret), then null. */
  registrationRequest: base64.nullable(),
  /** A new key whose registration no sealed reply has proven yet, or null. */
  renewal: z
    .object({
      key: privateKey,
      request: base64,
      /** The sequence from which on messages are signed with the new key alone; null before the site's word. */
      provenFrom: z.string().nullable().default(null),
    })
    .nullable(),
  epoch: z.number(),
  /** The next sequence to use, decimal. */
  nextSequence: z.string().regex(/^[1-9][0-9]{0,18}$/),
  messages: z.array(storedMessage),
  /** Secrets of refused items: kept until the same key ID is committed or the caller releases it. */
  held: z.array(heldKey),
  /** A TPM owner authorization that the site refused: kept until one is committed or the caller releases it. */
  heldTpmOwnerAuth: heldTpmOwnerAuth.nullable().default(null),
  /** `volume/key` → when a verified reply listed the key ID as committed, by the site's clock. */
  safe: z.record(z.string(), z.number()),
  commands: z.array(command),
  /** Rotations that were begun, until the site asks for them no more. */
  rotating: z.array(rotating).default([]),
  /** Server time of the reply that the commands came with. */
  commandsAtMs: z.number(),
  /** The last authenticated server time, 0 before the first reply. */
  serverTimeMs: z.number(),
  registerAnew: z.boolean(),
  /** From the newest reply to a check-in; null: no policy applies, or none was heard of. */
  policy: policy.nullable().default(null),
  /** Server time of that reply; 0 before the first. */
  policyAtMs: z.number().default(0),
  /** The last settled messages, newest last. */
  settled: z.array(settledMessage),
});

/** A message that waits for its verified reply. */
export type StoredMessage = z.output<typeof storedMessage>;
/** A secret that the site refused; the caller's protector is not safe. */
export type HeldKey = z.output<typeof heldKey>;
/** A TPM owner authorization that the site refused. */
export type HeldTpmOwnerAuth = z.output<typeof heldTpmOwnerAuth>;
/** What a verified reply said of one protector. */
export type KeyOutcome = z.output<typeof keyOutcome>;
/** A message whose verified reply ended it. */
export type SettledMessage = z.output<typeof settledMessage>;
/** A rotation under way. */
export type Rotating = z.output<typeof rotating>;
/** Everything a client keeps. */
export type ClientState = z.output<typeof clientState>;

/** How many settled messages are remembered for `show`. */
export const SETTLED_KEPT = 100;

/** The key of {@link ClientState.safe}. */
export function safeKey(volumeId: string, keyId: string): string {
  return `${volumeId}/${keyId}`;
}

/**
 * Reads a state file's text.
 *
 * @throws MpeError STATE_INVALID naming the first wrong field, never its value.
 */
export function decodeState(text: string): ClientState {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new MpeError(
      'STATE_INVALID',
      'the client state is not JSON; restore it, or enrol into a new folder',
    );
  }
  const parsed = clientState.safeParse(json);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues[0]?.path.map(String).join('.') ?? '';
  throw new MpeError(
    'STATE_INVALID',
    `the client state is not readable by this release (field "${where}"); restore it, or enrol into a new folder`,
  );
}

/** Writes a state as text. */
export function encodeState(state: ClientState): string {
  return JSON.stringify(state);
}
