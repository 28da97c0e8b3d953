import type { MessageReply } from './client-message.js';
import { mpe } from './generated/mpe.js';
import { guidToBytes } from './guid.js';
import type { Disposition } from './vocabulary.js';
import { dispositionWire, reasonWire, retryWire } from './wire-enums.js';
import { decoding, guidField, wordField } from './wire.js';

/** Whether a disposition is final: mirrors InstantMessageReply Processed="1". */
export function isProcessed(disposition: Disposition): boolean {
  return disposition === 'COMMITTED' || disposition === 'ALREADY_COMMITTED';
}

/** Writes the unsealed answer; `processed` follows from the disposition. */
export function encodeMessageReply(reply: MessageReply): Buffer {
  return Buffer.from(
    mpe.v1.MessageReply.encode({
      messageId: guidToBytes(reply.messageId),
      disposition: dispositionWire.number(reply.disposition),
      reason: reasonWire.number(reply.reason),
      processed: isProcessed(reply.disposition),
      retry: retryWire.number(reply.retry),
      retryAfterSeconds: reply.retryAfterSeconds,
      sealedReply: reply.sealedReply,
    }).finish(),
  );
}

/**
 * Reads the unsealed answer. `processed` is not read: a client acts on the sealed part alone. A
 * reason newer than this release reads as NONE; `retry` still says what to do.
 *
 * @throws MpeError MALFORMED where it is no MessageReply, or its disposition or retry is unknown.
 */
export function decodeMessageReply(bytes: Uint8Array): MessageReply {
  return decoding('MessageReply', () => {
    const raw = mpe.v1.MessageReply.decode(bytes);
    return {
      messageId: guidField(raw.messageId, 'MessageReply.message_id'),
      disposition: wordField(dispositionWire, raw.disposition, 'MessageReply.disposition'),
      reason: reasonWire.word(raw.reason) ?? 'NONE',
      retry: wordField(retryWire, raw.retry, 'MessageReply.retry'),
      retryAfterSeconds: raw.retryAfterSeconds,
      sealedReply: raw.sealedReply,
    };
  });
}
