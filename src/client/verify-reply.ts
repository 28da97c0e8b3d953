import { openReply } from '../jose/index.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import type { ReplyStatement } from '../protocol/client-message.js';
import { decodeClientMessage } from '../protocol/decode-client-message.js';
import { decodeReplyStatement } from '../protocol/reply-statement.js';
import { payloadDigest } from './compose.js';
import type { ClientState, StoredMessage } from './state.js';

/**
 * Opens a sealed reply and checks that it is the answer to exactly this message of this client at
 * this site. What it returns is the site's word; nothing else in an answer is.
 *
 * @throws MpeError NOT_AUTHENTIC for every way of not being that.
 */
export async function verifyReply(
  sealedReply: string,
  message: StoredMessage,
  state: Readonly<ClientState>,
): Promise<ReplyStatement> {
  const payload = Buffer.from(message.payload, 'base64');
  const statement = await openStatement(sealedReply, replyKeyOf(payload), message);
  const refuse = (what: string): never => {
    throw new MpeError('NOT_AUTHENTIC', `the sealed reply is for another ${what}`);
  };
  if (statement.siteGuid !== state.siteGuid) refuse('site');
  if (statement.clientId !== state.clientId) refuse('client');
  if (statement.messageId !== message.messageId) refuse('message');
  if (!payloadDigest(payload).equals(statement.payloadDigest)) refuse('payload');
  return statement;
}

async function openStatement(
  sealedReply: string,
  replyKey: Uint8Array,
  message: StoredMessage,
): Promise<ReplyStatement> {
  try {
    return decodeReplyStatement(await openReply(sealedReply, Buffer.from(replyKey), message.messageId));
  } catch (error) {
    const why = isMpeError(error) ? error.message : 'it does not open';
    throw new MpeError('NOT_AUTHENTIC', `the sealed reply is refused: ${why}`, { cause: error });
  }
}

function replyKeyOf(payload: Uint8Array): Uint8Array {
  const decoded = decodeClientMessage(payload);
  const head = decoded.kind === 'message' ? decoded.message : decoded.head;
  // Our own bytes: composed by us, read from our own file.
  if (head === undefined) throw new MpeError('STATE_INVALID', 'a stored message cannot be read');
  return head.replyKey;
}
