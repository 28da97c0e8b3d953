import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { isMpeError } from '../../src/ops/errors.js';
import { decodeClientMessage } from '../../src/protocol/decode.js';
import { encodeClientMessage } from '../../src/protocol/encode.js';
import { decodeEnvelope, encodeEnvelope } from '../../src/protocol/envelope.js';
import { newGuid } from '../../src/protocol/guid.js';
import { decodeMessageReply } from '../../src/protocol/message-reply.js';
import {
  decodeRegistrationRequest,
  decodeRegistrationStatement,
  encodeRegistrationRequest,
} from '../../src/protocol/registration.js';
import { decodeReplyStatement } from '../../src/protocol/reply-statement.js';
import {
  decodeTokenRequest,
  decodeTokenStatement,
  encodeTokenStatement,
} from '../../src/protocol/site-token.js';
import { clientMessage } from '../protocol/arbitraries.js';
import { bounded, type FuzzTarget } from './target.js';

/** What throws on bad bytes; the client's side (replies) is fed by gateways that may be stolen. */
const DECODERS: readonly ((bytes: Uint8Array) => unknown)[] = [
  decodeEnvelope,
  decodeRegistrationRequest,
  decodeRegistrationStatement,
  decodeTokenRequest,
  decodeTokenStatement,
  decodeMessageReply,
  decodeReplyStatement,
];

/** Protobuf: every decoder gives a value or a MALFORMED of ours, and a message is always judged. */
export function protobufTarget(): FuzzTarget {
  const messages = fc.sample(clientMessage, { numRuns: 20, seed: 7 }).map(encodeClientMessage);
  const guid = newGuid();
  return {
    name: 'protobuf',
    seeds: [
      ...messages,
      encodeEnvelope({
        messageId: newGuid(),
        clientId: guid,
        bodyType: 'CHECK_IN',
        sentAtMs: 1_790_000_000_000,
        sealed: 'a.b.c.d.e',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        tracestate: 'x=1',
      }),
      encodeRegistrationRequest({
        jws: 'a.b.c',
        enrolmentToken: '',
        machineName: 'DESKTOP-0042',
        domain: 'CORP',
        hardwareId: 'h',
        joinType: 'DOMAIN',
      }),
      encodeTokenStatement({ siteGuid: guid, clientId: newGuid(), nonce: randomBytes(32) }),
    ],
    // Tags, lengths and varints that decoders stumble over; groups; deep nesting.
    words: [
      ...['\x0a', '\x12\x00', '\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01', '\xff\xff\xff\xff\x0f', '\x0b\x0c'],
      ...['\x0b'.repeat(200), '\x0a\xff\xff\xff\xff\x07', '\xed\xa0\x80', '\xc0\x80', '\x00'],
    ],
    run(input) {
      for (const decode of DECODERS) {
        try {
          bounded(() => decode(input));
        } catch (error) {
          if (!isMpeError(error, 'MALFORMED')) throw error;
        }
      }
      const decoded = bounded(() => decodeClientMessage(input));
      // What was taken can be told again: nothing half-read is passed on.
      if (decoded.kind === 'message') bounded(() => encodeClientMessage(decoded.message));
    },
  };
}
