import type { Envelope } from './client-message.js';
import { mpe } from './generated/mpe.js';
import { guidToBytes } from './guid.js';
import { LIMITS } from './vocabulary.js';
import { bodyTypeNumber, bodyTypeWord, isBodyTypeNumber } from './wire-enums.js';
import { decoding, guidField, malformed, timeToLong, toTimeMs } from './wire.js';

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const TRACESTATE = /^[\x20-\x7e]{1,512}$/;

/**
 * Reads an envelope. Nothing in it is trusted yet. A trace context that is not W3C's is dropped:
 * it is no reason to refuse a message, and it would stand in logs.
 *
 * @throws MpeError MALFORMED where it is not an envelope, is above its limit, or lacks an id, the
 * body type or the sealed part.
 */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.length > LIMITS.envelopeBytes) {
    throw malformed('Envelope', `larger than ${String(LIMITS.envelopeBytes)} bytes`);
  }
  return decoding('Envelope', () => {
    const raw = mpe.v1.Envelope.decode(bytes);
    if (!isBodyTypeNumber(raw.bodyType)) throw malformed('Envelope', 'body_type is missing');
    if (raw.sealed === '') throw malformed('Envelope', 'sealed is missing');
    return {
      messageId: guidField(raw.messageId, 'Envelope.message_id'),
      clientId: guidField(raw.clientId, 'Envelope.client_id'),
      bodyType: bodyTypeWord(raw.bodyType),
      sentAtMs: toTimeMs(raw.sentAtUnixMs),
      sealed: raw.sealed,
      traceparent: TRACEPARENT.test(raw.traceparent) ? raw.traceparent : '',
      tracestate: TRACESTATE.test(raw.tracestate) ? raw.tracestate : '',
    };
  });
}

/** Writes an envelope. */
export function encodeEnvelope(envelope: Envelope): Buffer {
  return Buffer.from(
    mpe.v1.Envelope.encode({
      messageId: guidToBytes(envelope.messageId),
      clientId: guidToBytes(envelope.clientId),
      bodyType: bodyTypeNumber(envelope.bodyType),
      sentAtUnixMs: timeToLong(envelope.sentAtMs),
      sealed: envelope.sealed,
      traceparent: envelope.traceparent,
      tracestate: envelope.tracestate,
    }).finish(),
  );
}
