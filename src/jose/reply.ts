import { MpeError } from '../ops/errors.js';
import type { Guid } from '../protocol/guid.js';
import { cannotOpen } from './cannot-open.js';
import { guard } from './guard.js';
import { decryptCompact, encryptCompact, importSecret } from './node-jose.js';
import { CONTENT_ENCRYPTION } from './token-rules.js';

const TYP = 'mpe-reply';

/**
 * Seals a reply under the reply key of the message that it answers: compact JWE, header exactly
 * `{"alg":"dir","enc":"A256GCM","typ":"mpe-reply","kid":<message id>}`.
 *
 * @param replyKey - the 32 bytes of ClientMessage.reply_key
 * @throws MpeError VALUE_INVALID where the key does not have 32 bytes, or there is no payload.
 */
export async function sealReply(payload: Uint8Array, replyKey: Uint8Array, messageId: Guid): Promise<string> {
  checkReplyKey(replyKey);
  if (payload.length === 0) throw new MpeError('VALUE_INVALID', 'there is no reply to seal');
  const header = { alg: 'dir', enc: CONTENT_ENCRYPTION, typ: TYP, kid: messageId } as const;
  const token = await encryptCompact(header, await importSecret(replyKey), payload);
  guard(token, TYP);
  return token;
}

/**
 * Opens a reply. That it answers the very bytes that were sent is in the payload: compare its digest.
 *
 * @throws MpeError CANNOT_OPEN where it is for another message or is not authentic; VALUE_INVALID
 * where the key does not have 32 bytes.
 */
export async function openReply(token: string, replyKey: Uint8Array, messageId: Guid): Promise<Buffer> {
  checkReplyKey(replyKey);
  const { alg, kid } = guard(token, TYP);
  if (kid !== messageId) throw cannotOpen(TYP, 'the reply is for another message');
  try {
    return await decryptCompact(token, await importSecret(replyKey), alg);
  } catch (error) {
    throw cannotOpen(TYP, 'does not open with the reply key of this message', error);
  }
}

function checkReplyKey(replyKey: Uint8Array): void {
  if (replyKey.length !== 32) throw new MpeError('VALUE_INVALID', 'a reply key has 32 bytes');
}
