import fc from 'fast-check';
import type {
  Body,
  ClientMessage,
  EscrowVolume,
  ItemResult,
  ReplyStatement,
  ReportedVolume,
} from '../../src/protocol/client-message.js';
import { NIL_GUID, guidFromBytes, type Guid } from '../../src/protocol/guid.js';
import {
  BODY_TYPES,
  DISPOSITIONS,
  ITEM_REASONS,
  ITEM_STATUSES,
  OTHER_MANAGERS,
  PROTECTION_STATES,
  REASONS,
  RETRIES,
  ROTATION_OUTCOMES,
  VOLUME_TYPES,
} from '../../src/protocol/vocabulary.js';
import { MAX_INT64 } from '../../src/protocol/wire.js';

/** Values of the wire contract for property tests. Texts are well-formed Unicode of every plane. */

export const bytes = (minLength: number, maxLength = minLength) =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array));
export const guid: fc.Arbitrary<Guid> = bytes(16)
  .filter((b) => b.some((byte) => byte !== 0))
  .map((b) => guidFromBytes(b));
export const text = fc.string({ unit: 'binary', maxLength: 20 });
export const timeMs = fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 });
export const sequence = fc.oneof(fc.bigInt(1n, MAX_INT64), fc.constantFrom(1n, MAX_INT64, 9007199254740993n));
export const int64 = fc.bigInt(-(2n ** 63n), MAX_INT64);

const volumeHead = {
  volumeId: bytes(0, 20),
  volumeType: fc.oneof(fc.constantFrom(...VOLUME_TYPES), fc.integer({ min: 4, max: 2 ** 31 - 1 })),
  driveLabel: text,
  protection: fc.constantFrom(...PROTECTION_STATES),
};
const protector = fc.record(
  { keyId: bytes(0, 20), recoveryPassword: text, keyPackage: bytes(0, 40) },
  { requiredKeys: ['keyId'] },
);
const escrowVolume: fc.Arbitrary<EscrowVolume> = fc.record({
  ...volumeHead,
  protectors: fc.array(protector, { maxLength: 8 }),
});
const reportedVolume: fc.Arbitrary<ReportedVolume> = fc.record({
  ...volumeHead,
  keyIds: fc.array(bytes(0, 20), { maxLength: 8 }),
});

export const body: fc.Arbitrary<Body> = fc.oneof(
  fc.record({
    type: fc.constant(BODY_TYPES[0]),
    volumes: fc.array(escrowVolume, { minLength: 1, maxLength: 16 }),
  }),
  fc.record({ type: fc.constant(BODY_TYPES[1]), ownerAuth: bytes(0, 30) }, { requiredKeys: ['type'] }),
  fc.record(
    {
      type: fc.constant(BODY_TYPES[2]),
      requestId: bytes(0, 20),
      outcome: fc.constantFrom(...ROTATION_OUTCOMES),
      errorCode: int64,
      errorText: text,
      newKeyId: bytes(0, 20),
    },
    { requiredKeys: ['type', 'requestId', 'outcome'] },
  ),
  fc.record(
    {
      type: fc.constant(BODY_TYPES[3]),
      volumes: fc.array(reportedVolume, { maxLength: 16 }),
      machineName: text,
      domain: text,
      users: fc.array(fc.record({ domain: text, name: text }), { maxLength: 64 }),
      otherManagers: fc.uniqueArray(fc.constantFrom(...OTHER_MANAGERS)),
      lastError: fc.record({ code: int64, text, atMs: timeMs }),
    },
    { requiredKeys: ['type', 'volumes', 'machineName', 'domain', 'users', 'otherManagers'] },
  ),
);

export const clientMessage: fc.Arbitrary<ClientMessage> = body.chain((b) =>
  fc.record({
    siteGuid: guid,
    messageId: guid,
    clientId: guid,
    bodyType: fc.constant(b.type),
    replyKey: bytes(32),
    sequence,
    createdAtMs: timeMs,
    clientVersion: text,
    body: fc.constant(b),
  }),
);

const itemResult: fc.Arbitrary<ItemResult> = fc.record({
  status: fc.constantFrom(...ITEM_STATUSES),
  reason: fc.constantFrom(...ITEM_REASONS),
});
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

export const replyStatement: fc.Arbitrary<ReplyStatement> = fc.record(
  {
    siteGuid: guid,
    clientId: guid,
    messageId: guid,
    payloadDigest: bytes(32),
    disposition: fc.constantFrom(...DISPOSITIONS),
    reason: fc.constantFrom(...REASONS),
    retry: fc.constantFrom(...RETRIES),
    volumes: fc.array(
      fc
        .tuple(
          itemResult,
          bytes(0, 16),
          fc.array(
            fc
              .tuple(
                itemResult,
                fc.record(
                  { keyId: bytes(0, 16), badGroup: fc.integer({ min: 0, max: 8 }), keyPackage: itemResult },
                  { requiredKeys: ['keyId', 'badGroup'] },
                ),
              )
              .map(([item, key]) => ({ ...item, ...key })),
            { maxLength: 8 },
          ),
        )
        .map(([item, volumeId, keys]) => ({ ...item, volumeId, keys })),
      { maxLength: 16 },
    ),
    tpmOwnerAuth: itemResult,
    committedAtMs: timeMs,
    serverTimeMs: timeMs,
    highestSequence: fc.bigInt(0n, MAX_INT64),
    siteDocumentVersion: uint32,
    commands: fc.array(
      fc.oneof(
        fc.record({
          type: fc.constant('ROTATE_KEY' as const),
          requestId: guid,
          volumeId: guid,
          keyId: guid,
          deadlineMs: timeMs,
        }),
        fc.record({
          type: fc.constant('ESCROW' as const),
          volumeId: guid,
          keyIds: fc.array(guid, { maxLength: 8 }),
        }),
      ),
      { maxLength: 5 },
    ),
    registerAnew: fc.boolean(),
    epoch: uint32,
  },
  {
    requiredKeys: [
      'siteGuid',
      'clientId',
      'messageId',
      'payloadDigest',
      'disposition',
      'reason',
      'retry',
      'volumes',
      'serverTimeMs',
      'highestSequence',
      'siteDocumentVersion',
      'commands',
      'registerAnew',
      'epoch',
    ],
  },
);

/** A fixed message for tests that change one thing. */
export function sampleMessage(change: Partial<ClientMessage> = {}): ClientMessage {
  return {
    siteGuid: '11111111-1111-4111-8111-111111111111' as Guid,
    messageId: '22222222-2222-4222-8222-222222222222' as Guid,
    clientId: '33333333-3333-4333-8333-333333333333' as Guid,
    bodyType: 'ESCROW_RECOVERY_KEYS',
    replyKey: Buffer.alloc(32, 7),
    sequence: 1n,
    createdAtMs: Date.UTC(2026, 0, 1),
    clientVersion: 'test 1',
    body: {
      type: 'ESCROW_RECOVERY_KEYS',
      volumes: [
        {
          volumeId: Buffer.alloc(16, 4),
          volumeType: 'OS',
          driveLabel: 'C:',
          protection: 'ON',
          protectors: [{ keyId: Buffer.alloc(16, 5), recoveryPassword: '000000' }],
        },
      ],
    },
    ...change,
  };
}

export { NIL_GUID };
