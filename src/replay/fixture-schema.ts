import { z } from 'zod';
import { SITE_VARIANTS } from './site-variants.js';
import {
  BODY_TYPES,
  JOIN_TYPES,
  OTHER_MANAGERS,
  PROTECTION_STATES,
  ROTATION_OUTCOMES,
  VOLUME_TYPES,
} from '../protocol/vocabulary.js';

/**
 * The fixture format, version 1. docs/fixtures.md explains it field by field; a test holds the two
 * together. Every object is strict: a misspelt field is an error, never a silent default.
 */

const name = z.string().regex(/^[a-z0-9][a-z0-9-]*$/, 'small letters, digits and hyphens');
const guid = z.string().min(1);
const bytes = z.union([z.string(), z.strictObject({ bytes: z.int().min(0), label: z.string().optional() })]);
const whole = z.string().regex(/^-?\d+$/, 'a whole number as text, so that 64 bits stay exact');
const time = z.iso.datetime({ error: 'a UTC time such as 2026-01-02T03:04:05Z' });
const volumeType = z.union([z.enum(VOLUME_TYPES), z.int()]);

const protector = z.strictObject({
  key: guid,
  password: z.string().optional(),
  package: bytes.optional(),
});
const escrowVolume = z.strictObject({
  volume: guid,
  type: volumeType,
  label: z.string().default(''),
  protection: z.enum(PROTECTION_STATES).default('ON'),
  protectors: z.array(protector),
});
const reportedVolume = z.strictObject({
  volume: guid,
  type: volumeType,
  label: z.string().default(''),
  protection: z.enum(PROTECTION_STATES).default('ON'),
  keys: z.array(guid),
});

/** One body, as people read it. */
export const bodySchema = z.union([
  z.strictObject({ escrowRecoveryKeys: z.strictObject({ volumes: z.array(escrowVolume) }) }),
  z.strictObject({ escrowTpmOwnerAuth: z.strictObject({ ownerAuth: bytes.optional() }) }),
  z.strictObject({
    rotationResult: z.strictObject({
      request: guid,
      outcome: z.enum(ROTATION_OUTCOMES),
      errorCode: whole.optional(),
      errorText: z.string().optional(),
      newKey: guid.optional(),
    }),
  }),
  z.strictObject({
    checkIn: z.strictObject({
      machineName: z.string().default(''),
      domain: z.string().default(''),
      volumes: z.array(reportedVolume).default([]),
      users: z.array(z.strictObject({ domain: z.string(), name: z.string() })).default([]),
      otherManagers: z.array(z.enum(OTHER_MANAGERS)).default([]),
      lastError: z.strictObject({ code: whole, text: z.string(), at: time }).optional(),
    }),
  }),
]);

/** What is done to a well-formed message to make it hostile. Applied from the inside out. */
export const forgeSchema = z.strictObject({
  /** The bytes that are signed. */
  payload: z
    .array(
      z.union([
        z.strictObject({ replace: bytes }),
        z.strictObject({ append: bytes }),
        z.strictObject({ truncate: z.int().min(1) }),
        z.strictObject({ nest: z.int().min(1) }),
        z.strictObject({ secondBody: z.literal(true) }),
        z.strictObject({ field: z.int().min(1), bytes }),
        z.strictObject({ dropField: z.int().min(1) }),
      ]),
    )
    .optional(),
  /** Fields of the signed head that differ from the envelope's. */
  head: z
    .strictObject({
      site: guid.optional(),
      client: guid.optional(),
      message: guid.optional(),
      bodyType: z.union([z.enum(BODY_TYPES), z.int()]).optional(),
      replyKey: bytes.optional(),
    })
    .optional(),
  /** The signature. */
  jws: z
    .enum([
      'none',
      'alg-none',
      'alg-hs256',
      'der-signature',
      'signature-flipped',
      'payload-swapped',
      'kid-missing',
      'typ-wrong',
      'crit',
      'jwk-header',
      'signed-by-stranger',
      'four-parts',
      'b64-false',
    ])
    .optional(),
  /** The encryption. */
  jwe: z
    .enum([
      'none',
      'zip',
      'zip-bomb',
      'alg-rsa1-5',
      'alg-rsa-oaep',
      'alg-pbes2',
      'alg-dir',
      'enc-cbc',
      'typ-missing',
      'typ-wrong',
      'kid-missing',
      'crit',
      'jwk-header',
      'six-parts',
      'four-parts',
      'padding',
      'trailing-junk',
      'tag-flipped',
      'tag-short',
      'iv-flipped',
      'ciphertext-flipped',
      'key-flipped',
      'alg-of-other-key',
      'json',
      'header-null',
      'header-duplicate-alg',
      'key-swapped',
      'epk-off-curve',
      'epk-missing',
    ])
    .optional(),
  /** Blank characters after the token, to exceed the size limit. */
  padTo: z.int().optional(),
});

const channel = z.strictObject({
  /** Another client than the envelope's. */
  client: name.optional(),
  /** The key of the registration that the token was issued for; default the signing key, else k1. */
  key: name.optional(),
  /** Gateway only: send no token at all. */
  none: z.literal(true).optional(),
});

const send = z.strictObject({
  client: name,
  /** The signing key, of this client or `client/key` of another. */
  key: z.string().default('k1'),
  message: guid.optional(),
  sequence: whole.default('1'),
  createdAt: time.default('2026-01-02T03:04:05Z'),
  sentAt: time.optional(),
  clientVersion: z.string().default('fixture 1'),
  /** The sealing key: `rsa`, `ecdh`, or one that the site does not hold yet. */
  sealTo: z.enum(['rsa', 'ecdh', 'future', 'unknown']).default('rsa'),
  /** The envelope's body type where it differs from the body. */
  bodyType: z.union([z.enum(BODY_TYPES), z.int()]).optional(),
  /** The client id in the envelope and in the signed head where it is not the client's own. */
  channel: channel.optional(),
  traceparent: z.string().default(''),
  body: bodySchema,
  forge: forgeSchema.optional(),
});

const resend = z.strictObject({
  /** The step whose signed bytes are sent again. */
  of: name,
  /** True: the same JWS in a fresh JWE; false: the same token. */
  reseal: z.boolean().default(true),
  sealTo: z.enum(['rsa', 'ecdh']).default('rsa'),
  sentAt: time.optional(),
});

const register = z.strictObject({
  client: name,
  key: z.string().default('k1'),
  /** The client id in the statement where it is not the client's own. */
  as: name.optional(),
  /** A key of this client that signs for the new one. */
  previousKey: z.string().optional(),
  /** The enrolment token: the site's, one that an operator step added, none, or one that nobody knows. */
  token: z.string().default('site'),
  registration: guid.optional(),
  machineName: z.string().optional(),
  forge: z
    .enum([
      'signature-flipped',
      'other-site',
      'other-key-in-statement',
      'typ-wrong',
      'kid-of-other-key',
      'token-swapped',
    ])
    .optional(),
});

/** A registration that waits for an operator. */
const waiting = z.strictObject({ client: name, key: z.string().default('k1') });

const operator = z.union([
  z.strictObject({ block: name }),
  z.strictObject({ unblock: name }),
  z.strictObject({ approve: waiting }),
  z.strictObject({ reject: waiting }),
  z.strictObject({
    openRotation: z.strictObject({
      request: guid,
      volume: guid,
      key: guid,
      deadline: time.default('2036-01-01T00:00:00Z'),
    }),
  }),
  z.strictObject({ damage: z.strictObject({ volume: guid, key: guid, password: z.string() }) }),
  z.strictObject({ addSealingKey: z.literal('future') }),
  z.strictObject({
    addToken: z.strictObject({
      token: name,
      uses: z.int().min(0).default(1),
      expiresAt: time.default('2126-01-01T00:00:00Z'),
      revoked: z.boolean().default(false),
    }),
  }),
  z.strictObject({
    deadLetter: z.strictObject({ of: name, cause: z.string().default('KILLED_ITS_WORKER') }),
  }),
  z.strictObject({ redrive: name }),
]);

/** An expectation may hold matchers in place of any value; see match.ts. */
const expected = z.record(z.string(), z.unknown());

const step = z
  .strictObject({
    id: name,
    about: z.string().optional(),
    /** Steps of this case that must come before. */
    after: z.array(name).default([]),
    /** Only with a gateway: an answer before the queue, or QUEUED. */
    only: z.enum(['gateway', 'in-process']).optional(),
    send: send.optional(),
    resend: resend.optional(),
    register: register.optional(),
    operator: operator.optional(),
    /** Seconds for `Prefer: wait=N`, with a gateway. */
    wait: z.int().min(0).max(30).optional(),
    expect: expected.optional(),
    /** What a gateway answers where that is not 200 or 202 with the reply above. */
    http: z.strictObject({ status: z.int(), code: z.string().optional() }).optional(),
  })
  .refine((s) => [s.send, s.resend, s.register, s.operator].filter((a) => a !== undefined).length === 1, {
    error: 'a step has exactly one of send, resend, register, operator',
  })
  .refine((s) => (s.operator === undefined) === (s.expect !== undefined), {
    error: 'a step that sends needs "expect"; an operator step has none',
  });

const keyRow = z.strictObject({
  /** Key id and volume, for a password or package. */
  key: guid.optional(),
  volume: guid.optional(),
  password: z.string().optional(),
  package: bytes.optional(),
  /** A TPM owner authorization belongs to a client. */
  client: name.optional(),
  tpmOwnerAuth: bytes.optional(),
  provenBy: z.array(name),
});

const rows = z.strictObject({
  /** Epoch of each client that is registered after the case. */
  clients: z.record(name, z.int().min(0)).optional(),
  keys: z.array(keyRow).default([]),
  reports: z
    .array(
      z.strictObject({
        client: name,
        volume: guid,
        type: z.enum(VOLUME_TYPES),
        from: name,
        epoch: z.int().default(1),
        keys: z.array(guid),
      }),
    )
    .default([]),
  /** Where each message is after the case: `outcome COMMITTED`, `quarantine CLIENT_UNKNOWN`, `dead letter …`, `nothing`. */
  messages: z.record(name, z.string()).default({}),
  /** Flags of clients, where there are any. */
  flags: z.record(name, z.array(z.string())).default({}),
});

/** A fixture file. */
export const fixtureSchema = z.strictObject({
  format: z.literal(1),
  name,
  title: z.string().min(1),
  tags: z.array(name).min(1),
  source: z.array(z.string().min(1)).min(1),
  site: z.enum(SITE_VARIANTS).default('standard'),
  clients: z.record(
    name,
    z.strictObject({
      id: guid.optional(),
      /** False: the case registers it by a step, or never. */
      register: z.boolean().default(true),
      machineName: z.string().default('PC-0042'),
      domain: z.string().default('example.test'),
      hardwareId: z.string().default(''),
      joinType: z.enum(JOIN_TYPES).default('DOMAIN'),
    }),
  ),
  steps: z.array(step).min(1),
  rows,
});

/** A case as loaded. */
export type Fixture = z.output<typeof fixtureSchema>;
/** One step of a case. */
export type Step = Fixture['steps'][number];
/** What a `send` step says. */
export type SendSource = NonNullable<Step['send']>;
/** What a `register` step says. */
export type RegisterSource = NonNullable<Step['register']>;
/** What an operator does. */
export type OperatorSource = NonNullable<Step['operator']>;
/** A body as a fixture writes it. */
export type BodySource = z.output<typeof bodySchema>;
/** A recipe of {@link forgeSchema}. */
export type Forge = z.output<typeof forgeSchema>;
