import { seal, sign } from '../jose/index.js';
import { encodeEnvelope } from '../protocol/envelope.js';
import type { ClientContext } from './context.js';
import { chooseSealingKey } from './site.js';
import type { StoredMessage } from './state.js';

/**
 * Wraps a stored payload for one sending: signed with the client's current key, sealed to the key
 * that the current site document prefers. Each sending is wrapped anew; the payload, and with it
 * the message, stays the same.
 *
 * @returns the bytes of an Envelope.
 */
export async function sealMessage(context: ClientContext, message: StoredMessage): Promise<Buffer> {
  const { keeper, document, settings } = context;
  const payload = Buffer.from(message.payload, 'base64');
  const jws = await sign(payload, keeper.state.key, 'mpe-msg+jws');
  return encodeEnvelope({
    messageId: message.messageId,
    clientId: keeper.state.clientId,
    bodyType: message.bodyType,
    sentAtMs: settings.now(),
    sealed: await seal(Buffer.from(jws, 'ascii'), chooseSealingKey(document), 'mpe-env'),
    traceparent: '',
    tracestate: '',
  });
}
