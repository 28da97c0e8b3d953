/* eslint-disable @typescript-eslint/no-unsafe-enum-assignment -- numbers that no enum has are the test */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Envelope } from '../../src/protocol/client-message.js';
import * as decode from '../../src/protocol/decode.js';
import * as encode from '../../src/protocol/encode.js';
import { mpe } from '../../src/protocol/generated/mpe.js';
import { guidToBytes, newGuid } from '../../src/protocol/guid.js';
import { isProcessed } from '../../src/protocol/message-reply.js';
import {
  BODY_TYPES,
  DISPOSITIONS,
  JOIN_TYPES,
  LIMITS,
  REASONS,
  REGISTRATION_REASONS,
  REGISTRATION_STATUSES,
  RETRIES,
} from '../../src/protocol/vocabulary.js';
import { bytes, guid, replyStatement, text, timeMs } from './arbitraries.js';

/** A name of a registration: text without control characters. */
const name = text.map((any) => any.replaceAll(/\p{Cc}/gu, ''));

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const nonEmpty = fc.string({ minLength: 1, maxLength: 40 });

const envelope: fc.Arbitrary<Envelope> = fc.record({
  messageId: guid,
  clientId: guid,
  bodyType: fc.oneof(fc.constantFrom(...BODY_TYPES), fc.integer({ min: 5, max: 2 ** 31 - 1 })),
  sentAtMs: timeMs,
  sealed: nonEmpty,
  traceparent: fc.constantFrom('', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),
  tracestate: fc.constantFrom('', 'vendor=value'),
});

/** Every codec: name, values, encoder, decoder. */
const codecs: [string, fc.Arbitrary<unknown>, (value: never) => Buffer, (bytes: Uint8Array) => unknown][] = [
  ['Envelope', envelope, encode.encodeEnvelope, decode.decodeEnvelope],
  [
    'MessageReply',
    fc.record({
      messageId: guid,
      disposition: fc.constantFrom(...DISPOSITIONS),
      reason: fc.constantFrom(...REASONS),
      retry: fc.constantFrom(...RETRIES),
      retryAfterSeconds: uint32,
      sealedReply: text,
    }),
    encode.encodeMessageReply,
    decode.decodeMessageReply,
  ],
  ['ReplyStatement', replyStatement, encode.encodeReplyStatement, decode.decodeReplyStatement],
  [
    'RegistrationRequest',
    fc.record(
      {
        jws: nonEmpty,
        enrolmentToken: text,
        machineName: name,
        domain: name,
        hardwareId: name,
        joinType: fc.constantFrom(...JOIN_TYPES),
        previousKeyJws: text,
      },
      { requiredKeys: ['jws', 'machineName', 'domain', 'hardwareId', 'joinType'] },
    ),
    encode.encodeRegistrationRequest,
    decode.decodeRegistrationRequest,
  ],
  [
    'RegistrationStatement',
    fc.record({
      siteGuid: guid,
      registrationId: guid,
      clientId: guid,
      publicKeyX: bytes(32),
      publicKeyY: bytes(32),
      createdAtMs: timeMs,
      enrolmentTokenSha256: fc.oneof(bytes(0), bytes(32)),
    }),
    encode.encodeRegistrationStatement,
    decode.decodeRegistrationStatement,
  ],
  [
    'RegistrationReply',
    fc.record({
      clientId: guid,
      status: fc.constantFrom(...REGISTRATION_STATUSES),
      reason: fc.constantFrom(...REGISTRATION_REASONS),
      epoch: uint32,
      kid: text,
      retry: fc.constantFrom(...RETRIES),
    }),
    encode.encodeRegistrationReply,
    decode.decodeRegistrationReply,
  ],
  [
    'TokenStatement',
    fc.record({ siteGuid: guid, clientId: guid, nonce: bytes(32) }),
    encode.encodeTokenStatement,
    decode.decodeTokenStatement,
  ],
  ['TokenRequest', fc.record({ jws: nonEmpty }), encode.encodeTokenRequest, decode.decodeTokenRequest],
  [
    'TokenReply',
    fc.record({
      accessToken: fc.stringMatching(/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}$/),
      lifetimeSeconds: uint32,
    }),
    encode.encodeTokenReply,
    decode.decodeTokenReply,
  ],
  [
    'NonceReply',
    fc.record({ nonce: bytes(32), lifetimeSeconds: uint32 }),
    encode.encodeNonceReply,
    decode.decodeNonceReply,
  ],
  [
    'Problem',
    fc.record({ type: text, title: text, status: uint32, detail: text, code: text }),
    encode.encodeProblem,
    decode.decodeProblem,
  ],
];

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'decoded';
};

describe.each(codecs)('%s', (_, values, toBytes, fromBytes) => {
  it('goes to bytes and back', () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(fromBytes(toBytes(value as never))).toEqual(value);
      }),
    );
  });

  it('throws nothing but MALFORMED, whatever the bytes', () => {
    fc.assert(
      fc.property(values, fc.nat(), fc.uint8Array({ maxLength: 40 }), (value, cut, tail) => {
        const good = toBytes(value as never);
        const cutAt = cut % (good.length + 1);
        for (const bad of [good.subarray(0, cutAt), Buffer.concat([good.subarray(0, cutAt), tail]), tail]) {
          expect(['decoded', 'MALFORMED']).toContain(codeOf(() => fromBytes(bad)));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('ignores an unknown field', () => {
    const [value] = fc.sample(values, 1);
    const later = Buffer.concat([toBytes(value as never), Buffer.from([0xfa, 0x7d, 1, 0x41])]);
    expect(fromBytes(later)).toEqual(value);
  });
});

describe('Envelope rules', () => {
  const good = {
    messageId: guidToBytes(newGuid()),
    clientId: guidToBytes(newGuid()),
    bodyType: 1,
    sealed: 'a.b',
  };
  const decoded = (change: mpe.v1.Envelope.$Properties): Envelope =>
    decode.decodeEnvelope(mpe.v1.Envelope.encode({ ...good, ...change }).finish());

  it.each([
    ['no message id', { messageId: Buffer.alloc(0) }],
    ['a client id of 17 bytes', { clientId: Buffer.alloc(17, 1) }],
    ['an all-zero message id', { messageId: Buffer.alloc(16) }],
    ['no body type', { bodyType: 0 as mpe.v1.BodyType }],
    ['a negative body type', { bodyType: -1 as mpe.v1.BodyType }],
    ['nothing sealed', { sealed: '' }],
  ])('refuses %s', (_, change) => {
    expect(codeOf(() => decoded(change))).toBe('MALFORMED');
  });

  it('refuses an envelope above its limit before it decodes it', () => {
    expect(codeOf(() => decoded({ sealed: 'x'.repeat(LIMITS.envelopeBytes) }))).toBe('MALFORMED');
  });

  it.each(['00-xyz', `${'0'.repeat(2)}-${'A'.repeat(32)}-${'b'.repeat(16)}-01`, 'a\nb'])(
    'drops the trace context "%s", which is none',
    (traceparent) => {
      expect(decoded({ traceparent, tracestate: 'line\nbreak' })).toMatchObject({
        traceparent: '',
        tracestate: '',
      });
    },
  );
});

describe('values newer than this release', () => {
  const head = {
    siteGuid: guidToBytes(newGuid()),
    clientId: guidToBytes(newGuid()),
    messageId: guidToBytes(newGuid()),
    payloadDigest: Buffer.alloc(32),
    disposition: 2,
  };
  const statement = (change: mpe.v1.ReplyStatement.$Properties) =>
    decode.decodeReplyStatement(mpe.v1.ReplyStatement.encode({ ...head, ...change }).finish());

  it('in a reply: unknown commands and reasons are ignored', () => {
    const decoded = statement({
      reason: 99 as mpe.v1.Reason,
      commands: [{}, { escrow: { volumeId: head.siteGuid, keyIds: [] } }],
      tpmOwnerAuth: { status: 1, reason: 99 as mpe.v1.ItemReason },
    });
    expect(decoded.commands).toHaveLength(1);
    expect(decoded).toMatchObject({ reason: 'NONE', tpmOwnerAuth: { status: 'COMMITTED', reason: 'NONE' } });
  });

  it.each([
    ['disposition', { disposition: 99 as mpe.v1.Disposition }],
    ['no disposition', { disposition: 0 as mpe.v1.Disposition }],
    ['retry', { retry: 99 as mpe.v1.Retry }],
    ['item status', { tpmOwnerAuth: { status: 99 as mpe.v1.ItemStatus } }],
    ['volume status', { volumes: [{ status: 0 }] }],
  ])('in a reply: what a client would act on is refused (%s)', (_, change) => {
    expect(codeOf(() => statement(change))).toBe('MALFORMED');
  });

  it('in a registration: the join type is a hint', () => {
    const raw = mpe.v1.RegistrationRequest.encode({ jws: 'x', joinType: 99 as mpe.v1.JoinType }).finish();
    expect(decode.decodeRegistrationRequest(raw).joinType).toBe('UNSPECIFIED');
  });
});

describe('MessageReply.processed', () => {
  it.each(DISPOSITIONS)('follows from %s', (disposition) => {
    const raw = mpe.v1.MessageReply.decode(
      encode.encodeMessageReply({
        messageId: newGuid(),
        disposition,
        reason: 'NONE',
        retry: 'NONE',
        retryAfterSeconds: 0,
        sealedReply: '',
      }),
    );
    expect(raw.processed).toBe(disposition === 'COMMITTED' || disposition === 'ALREADY_COMMITTED');
    expect(isProcessed(disposition)).toBe(raw.processed);
  });
});

describe('RegistrationRequest limits', () => {
  it('refuses names above their limit or with control characters, and a request above its own', () => {
    const encoded = (change: mpe.v1.RegistrationRequest.$Properties) =>
      mpe.v1.RegistrationRequest.encode({ jws: 'x', ...change }).finish();
    for (const change of [
      { machineName: 'x'.repeat(257) },
      { domain: 'x'.repeat(257) },
      { hardwareId: 'x'.repeat(257) },
      { machineName: 'PC\u0000' },
      { domain: 'a\nb' },
      { hardwareId: '\u0085' },
      { jws: 'x'.repeat(LIMITS.registrationBytes) },
      { jws: '' },
    ]) {
      expect(codeOf(() => decode.decodeRegistrationRequest(encoded(change)))).toBe('MALFORMED');
    }
  });
});
