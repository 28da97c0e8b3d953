import { createHash, randomBytes } from 'node:crypto';
import type { Body } from '../protocol/client-message.js';
import { encodeClientMessage } from '../protocol/encode-client-message.js';
import { newGuid, type Guid } from '../protocol/guid.js';
import { MpeError } from '../ops/errors.js';
import type { ClientContext } from './context.js';
import type { StoredMessage } from './state.js';

const MAX_SEQUENCE = 2n ** 63n - 1n;

/**
 * Makes a message: takes the next sequence, encodes the payload once, and has both on disk before
 * it returns. From here on the message is the bytes; they are never encoded again.
 *
 * @returns the message's id.
 * @throws MpeError VALUE_INVALID where the sealed message would not fit into an envelope.
 */
export async function composeMessage(context: ClientContext, body: Body): Promise<Guid> {
  const { keeper, settings } = context;
  const message = await keeper.update((state) => {
    const sequence = BigInt(state.nextSequence);
    if (sequence > MAX_SEQUENCE) throw new MpeError('STATE_INVALID', 'all sequence numbers are used up');
    const messageId = newGuid();
    const createdAtMs = settings.now();
    const payload = encodeClientMessage({
      siteGuid: state.siteGuid,
      messageId,
      clientId: state.clientId,
      bodyType: body.type,
      replyKey: randomBytes(32),
      sequence,
      createdAtMs,
      clientVersion: settings.clientVersion,
      body,
    });
    const size = envelopeSize(payload.length);
    if (size > context.document.limits.envelopeBytes) {
      throw new MpeError(
        'VALUE_INVALID',
        `the message would have about ${size} bytes, more than the site's ${context.document.limits.envelopeBytes}; spread key packages over several messages`,
      );
    }
    const made: StoredMessage = {
      messageId,
      sequence: String(sequence),
      bodyType: body.type,
      payload: payload.toString('base64'),
      createdAtMs,
      lastSaid: 'not sent yet',
    };
    state.nextSequence = String(sequence + 1n);
    state.messages.push(made);
    return made;
  });
  settings.onEvent({
    event: 'client.message-made',
    messageId: message.messageId,
    sequence: message.sequence,
  });
  return message.messageId;
}

/** The digest that identifies a payload: SHA-256 of its bytes. */
export function payloadDigest(payload: Uint8Array): Buffer {
  return createHash('sha256').update(payload).digest();
}

/**
 * The size that an envelope around a payload has at most, in bytes: base64url grows by a third
 * inside the JWS and again inside the JWE; headers, signature, an RSA-4096 wrapped key and the
 * envelope's own fields are the constant.
 */
export function envelopeSize(payloadBytes: number): number {
  const jws = Math.ceil((payloadBytes * 4) / 3) + 240;
  return Math.ceil((jws * 4) / 3) + 1200;
}
