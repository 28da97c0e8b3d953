/* eslint-disable @typescript-eslint/no-unsafe-enum-assignment -- numbers that no enum has are the test */
import fc from 'fast-check';
import protobuf from 'protobufjs/minimal.js';
import { describe, expect, it } from 'vitest';
import type { Body, ClientMessage, DecodedMessage, EscrowVolume } from '../../src/protocol/client-message.js';
import { decodeClientMessage } from '../../src/protocol/decode-client-message.js';
import { encodeClientMessage } from '../../src/protocol/encode-client-message.js';
import { mpe } from '../../src/protocol/generated/mpe.js';
import { LIMITS } from '../../src/protocol/vocabulary.js';
import { toLong } from '../../src/protocol/wire.js';
import { clientMessage, sampleMessage } from './arbitraries.js';

const sample = sampleMessage();
const firstVolume = (sample.body as Extract<Body, { type: 'ESCROW_RECOVERY_KEYS' }>).volumes[0]!;
const signed = encodeClientMessage(sample);

/** The encoded field: tag, length, bytes. */
function field(number: number, content: Uint8Array, wireType = 2): Buffer {
  const writer = protobuf.Writer.create().uint32((number << 3) | wireType);
  return Buffer.from(writer.bytes(content).finish());
}
const body = (number: number): Buffer => field(number, Buffer.alloc(0));
/** The sample with its head changed and its body cut off. */
function head(change: mpe.v1.ClientMessage.$Properties = {}): Buffer {
  const { siteGuid, messageId, clientId, bodyType, replyKey, sequence } = mpe.v1.ClientMessage.decode(signed);
  return Buffer.from(
    mpe.v1.ClientMessage.encode({
      siteGuid,
      messageId,
      clientId,
      bodyType,
      replyKey,
      sequence,
      ...change,
    }).finish(),
  );
}
const oneVolume = mpe.v1.EscrowRecoveryKeys.encode({ volumes: [{}] }).finish();

function problemOf(bytes: Uint8Array): string {
  const decoded = decodeClientMessage(bytes);
  if (decoded.kind !== 'malformed') expect.fail(`decoded as ${decoded.kind}`);
  return decoded.problem;
}

describe('a client message', () => {
  it('goes to bytes and back', () => {
    fc.assert(
      fc.property(clientMessage, (message) => {
        const decoded = decodeClientMessage(encodeClientMessage(message));
        expect(decoded).toEqual({ kind: 'message', message });
      }),
      { numRuns: 300 },
    );
  });

  it('gives the same bytes each time, also from what was decoded', () => {
    fc.assert(
      fc.property(clientMessage, (message) => {
        const bytes = encodeClientMessage(message);
        const decoded = decodeClientMessage(bytes) as Extract<DecodedMessage, { kind: 'message' }>;
        expect(encodeClientMessage(decoded.message).equals(bytes)).toBe(true);
      }),
    );
  });

  it.each([1n, 9007199254740993n, 2n ** 63n - 1n])('keeps sequence %d exact', (sequence) => {
    const decoded = decodeClientMessage(encodeClientMessage({ ...sample, sequence }));
    expect(decoded).toMatchObject({ kind: 'message', message: { sequence } });
  });

  it('tells absent from empty', () => {
    const withProtector = (protector: object): unknown => {
      const message = {
        ...sample,
        body: { type: 'ESCROW_RECOVERY_KEYS', volumes: [{ ...firstVolume, protectors: [protector] }] },
      } as ClientMessage;
      const decoded = decodeClientMessage(encodeClientMessage(message));
      return (decoded as unknown as { message: { body: { volumes: EscrowVolume[] } } }).message.body
        .volumes[0]!.protectors[0];
    };
    const keyId = Buffer.alloc(16, 1);
    expect(withProtector({ keyId })).toStrictEqual({ keyId });
    const empty = { keyId, recoveryPassword: '', keyPackage: Buffer.alloc(0) };
    expect(withProtector(empty)).toEqual(empty);
  });

  it('ignores unknown fields, in the message and inside its body', () => {
    const inner = Buffer.concat([oneVolume, field(900, Buffer.from('later'))]);
    const bytes = Buffer.concat([head(), field(2000, Buffer.from('later')), field(16, inner)]);
    expect(decodeClientMessage(bytes)).toMatchObject({
      kind: 'message',
      message: { bodyType: 'ESCROW_RECOVERY_KEYS' },
    });
  });

  it('replaces lone surrogates of a machine name, so that what a client signs can be read', () => {
    const message = sampleMessage({
      bodyType: 'CHECK_IN',
      body: {
        type: 'CHECK_IN',
        volumes: [],
        machineName: 'PC\ud800',
        domain: '',
        users: [],
        otherManagers: [],
      },
    });
    expect(decodeClientMessage(encodeClientMessage(message))).toMatchObject({
      message: { body: { machineName: 'PC\ufffd' } },
    });
  });

  it('keeps a volume type that is newer as its number', () => {
    const volumes = [{ ...firstVolume, volumeType: 42 }];
    const bytes = encodeClientMessage({ ...sample, body: { type: 'ESCROW_RECOVERY_KEYS', volumes } });
    expect(decodeClientMessage(bytes)).toMatchObject({
      message: { body: { volumes: [{ volumeType: 42 }] } },
    });
  });

  it('counts a newer protection state as not reported and leaves out newer managers', () => {
    const checkIn = mpe.v1.CheckIn.encode({
      volumes: [{ protection: 9 as mpe.v1.ProtectionState }],
      otherManagers: [9 as mpe.v1.OtherManager, 3, 3, 0],
    }).finish();
    const bytes = Buffer.concat([head({ bodyType: 4 }), field(19, checkIn)]);
    expect(decodeClientMessage(bytes)).toMatchObject({
      message: { body: { volumes: [{ protection: 'UNREPORTED' }], otherManagers: ['INTUNE'] } },
    });
  });
});

describe('the body', () => {
  it.each([
    ['twice the same', [16, 16]],
    ['two kinds', [16, 17]],
    ['two kinds, the named one last', [19, 16]],
    ['all four', [16, 17, 18, 19]],
  ])('is malformed where the wire has %s', (_, numbers) => {
    expect(problemOf(Buffer.concat([head(), ...numbers.map(body)]))).toMatch(/more than one body/);
  });

  it('is seen twice also where one has another wire type, which a decoder would skip', () => {
    const varint = Buffer.from([((17 << 3) & 0x7f) | 0x80, 1, 1]);
    expect(problemOf(Buffer.concat([head(), field(16, oneVolume), varint]))).toMatch(/more than one body/);
  });

  it('is malformed where it is not the one that body_type names', () => {
    expect(problemOf(Buffer.concat([head(), body(19)]))).toMatch(/does not name/);
    expect(problemOf(Buffer.concat([head({ bodyType: 99 as mpe.v1.BodyType }), body(19)]))).toMatch(
      /does not name/,
    );
  });

  it('is malformed where there is none', () => {
    expect(problemOf(head())).toMatch(/no body/);
    expect(problemOf(head({ bodyType: 5 as mpe.v1.BodyType }))).toMatch(/no body/);
    // Right number, wrong wire type: protobuf skips it as unknown.
    expect(problemOf(Buffer.concat([head(), Buffer.from([0x80, 1, 1])]))).toMatch(/no body/);
  });

  it('is unknown, with a readable head, where type and field are newer than this release', () => {
    const bytes = Buffer.concat([head({ bodyType: 5 as mpe.v1.BodyType }), field(20, Buffer.from('x'))]);
    expect(decodeClientMessage(bytes)).toMatchObject({
      kind: 'unknown body',
      head: { bodyType: 5, messageId: sample.messageId, sequence: 1n },
    });
  });

  it.each([
    ['17 volumes', { volumes: Array(17).fill({}) }, /17 volumes/],
    ['9 protectors', { volumes: [{ protectors: Array(9).fill({}) }] }, /9 protectors/],
    ['no volume', { volumes: [] }, /names no volume/],
  ])('of an escrow is malformed with %s', (_, content, problem) => {
    const bytes = mpe.v1.EscrowRecoveryKeys.encode(content).finish();
    expect(problemOf(Buffer.concat([head(), field(16, bytes)]))).toMatch(problem);
  });

  it.each([
    ['17 volumes', { volumes: Array(17).fill({}) }, /17 volumes/],
    ['9 key ids', { volumes: [{ keyIds: Array(9).fill(Buffer.alloc(16)) }] }, /9 key_ids/],
    ['65 users', { users: Array(65).fill({}) }, /65 users/],
  ])('of a check-in is malformed with %s', (_, content, problem) => {
    const bytes = mpe.v1.CheckIn.encode(content).finish();
    expect(problemOf(Buffer.concat([head({ bodyType: 4 }), field(19, bytes)]))).toMatch(problem);
  });

  it('may reach every limit', () => {
    const volumes = Array(LIMITS.volumesPerMessage).fill({
      keyIds: Array(LIMITS.protectorsPerVolume).fill(Buffer.alloc(16)),
    });
    const bytes = mpe.v1.CheckIn.encode({ volumes, users: Array(LIMITS.usersPerCheckIn).fill({}) }).finish();
    expect(decodeClientMessage(Buffer.concat([head({ bodyType: 4 }), field(19, bytes)])).kind).toBe(
      'message',
    );
  });

  it.each([0, 5, -1])('of a rotation result is malformed with outcome %i', (outcome) => {
    const bytes = mpe.v1.RotationResult.encode({ outcome: outcome }).finish();
    expect(problemOf(Buffer.concat([head({ bodyType: 3 }), field(18, bytes)]))).toMatch(/outcome/);
  });

  it('is malformed where a text is not UTF-8', () => {
    const badText = field(2, Buffer.from([0xc3, 0x28]));
    expect(problemOf(Buffer.concat([head({ bodyType: 4 }), field(19, badText)]))).toMatch(/utf-8/i);
  });

  it('is malformed where it nests beyond any limit, in groups or in messages', () => {
    const groups = Buffer.concat([Buffer.alloc(5000, 0x1b), Buffer.alloc(5000, 0x1c)]);
    expect(problemOf(Buffer.concat([head(), groups]))).toMatch(/depth/);
    expect(problemOf(Buffer.concat([head(), field(16, groups)]))).toMatch(/depth/);
    let nested: Buffer = Buffer.alloc(0);
    for (let depth = 0; depth < 1000; depth += 1) nested = field(1, nested);
    // Messages nest three deep in this contract; the rest is unknown bytes, never followed.
    expect(decodeClientMessage(Buffer.concat([head(), field(16, nested)])).kind).toBe('message');
  });
});

describe('the head', () => {
  it.each([
    ['site_guid of 15 bytes', { siteGuid: Buffer.alloc(15, 1) }, /site_guid/],
    ['no message_id', { messageId: Buffer.alloc(0) }, /message_id/],
    ['an all-zero client_id', { clientId: Buffer.alloc(16) }, /client_id/],
    ['a reply key of 31 bytes', { replyKey: Buffer.alloc(31) }, /reply_key/],
    ['a reply key of 33 bytes', { replyKey: Buffer.alloc(33) }, /reply_key/],
    ['no reply key', { replyKey: Buffer.alloc(0) }, /reply_key/],
  ])('cannot be answered under seal with %s', (_, change, problem) => {
    const decoded = decodeClientMessage(Buffer.concat([head(change), field(16, oneVolume)]));
    expect(decoded).toMatchObject({ kind: 'malformed', problem: expect.stringMatching(problem) });
    expect(decoded).not.toHaveProperty('head');
  });

  it.each([
    ['sequence 0', { sequence: toLong(0n) }, /sequence/],
    ['a negative sequence', { sequence: toLong(-1n) }, /sequence/],
    ['no body type', { bodyType: 0 as mpe.v1.BodyType }, /body_type/],
    ['a negative body type', { bodyType: -3 as mpe.v1.BodyType }, /body_type/],
    ['a long client version', { clientVersion: 'v'.repeat(65) }, /client_version/],
  ])('is given with the problem where it has %s', (_, change, problem) => {
    const decoded = decodeClientMessage(Buffer.concat([head(change), field(16, oneVolume)]));
    expect(decoded).toMatchObject({
      kind: 'malformed',
      problem: expect.stringMatching(problem),
      head: { messageId: sample.messageId, replyKey: sample.replyKey },
    });
    const { head: given } = decoded as { head: { sequence: bigint; clientVersion: string } };
    expect(given.sequence).toBeGreaterThanOrEqual(0n);
    expect(given.clientVersion.length).toBeLessThanOrEqual(LIMITS.clientVersionChars);
  });

  it('is given where only the body is broken, so that the refusal can be sealed', () => {
    const broken = [
      Buffer.concat([head(), field(16, Buffer.from([0x0a, 0x7f]))]),
      Buffer.concat([head(), Buffer.from([0x82, 0x01, 0x7f])]),
      Buffer.concat([head(), body(16), body(16)]),
    ];
    for (const bytes of broken) {
      expect(decodeClientMessage(bytes)).toMatchObject({
        kind: 'malformed',
        head: { messageId: sample.messageId, replyKey: sample.replyKey, sequence: 1n },
      });
    }
  });

  it('takes a mad clock for what it is: a time that decides nothing', () => {
    const bytes = Buffer.concat([head({ createdAtUnixMs: toLong(2n ** 63n - 1n) }), field(16, oneVolume)]);
    const decoded = decodeClientMessage(bytes);
    expect(decoded.kind).toBe('message');
    const { message } = decoded as { message: ClientMessage };
    expect(new Date(message.createdAtMs).getUTCFullYear()).toBe(9999);
  });
});

describe('any bytes', () => {
  it('cut anywhere never throw and are malformed', () => {
    for (let length = 0; length < signed.length; length += 1) {
      const decoded = decodeClientMessage(signed.subarray(0, length));
      expect(decoded.kind).toBe('malformed');
    }
  });

  it('with a byte changed never throw', () => {
    fc.assert(
      fc.property(fc.nat(signed.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = Buffer.from(signed);
        changed[at]! ^= mask;
        expect(['message', 'malformed', 'unknown body']).toContain(decodeClientMessage(changed).kind);
      }),
      { numRuns: 2000 },
    );
  });

  it('at random never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(decodeClientMessage(bytes).kind).toBe('malformed');
      }),
      { numRuns: 2000 },
    );
  });

  it('behind a good head never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 16, max: 19 }), (bytes, number) => {
        const decoded = decodeClientMessage(
          Buffer.concat([head({ bodyType: (number - 15) as mpe.v1.BodyType }), field(number, bytes)]),
        );
        expect(['message', 'malformed']).toContain(decoded.kind);
      }),
      { numRuns: 2000 },
    );
  });
});
