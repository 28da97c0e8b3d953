import { isMpeError } from '../ops/errors.js';
import type { MessageReply, ReplyStatement } from '../protocol/client-message.js';
import { decodeMessageReply } from '../protocol/message-reply.js';
import { applyReply } from './apply-reply.js';
import type { ClientContext } from './context.js';
import { callGateway, problemOf, PROTOBUF } from './gateway-call.js';
import type { HttpAnswer } from './http.js';
import { sealMessage } from './seal-message.js';
import { refreshSite } from './refresh-site.js';
import type { SettledMessage, StoredMessage } from './state.js';
import { verifyReply } from './verify-reply.js';

/** What one attempt came to. */
export type Attempt =
  | { readonly kind: 'settled'; readonly message: SettledMessage }
  /** The site has nothing under this id: send the message now. */
  | { readonly kind: 'absent' }
  /** Try again after a back-off of at least `floorMs`. */
  | {
      readonly kind: 'later';
      readonly why: string;
      readonly floorMs: number;
      /** GET: the queue has it, ask. POST: send it again. */
      readonly next: 'POST' | 'GET';
    };

/**
 * Sends a message (POST) or asks for its outcome (GET), once, and acts on a verified sealed reply.
 * Whatever else comes back changes nothing but the back-off: the gateway is not believed.
 *
 * @throws MpeError STATE_INVALID where the state cannot be written; everything else is an attempt.
 */
export async function sendMessage(
  context: ClientContext,
  message: StoredMessage,
  how: 'POST' | 'GET',
): Promise<Attempt> {
  // A drain under way sees a message as soon as it is made; it leaves only when it is on disk.
  await context.keeper.durable();
  try {
    const answer = await exchange(context, message, how);
    if (how === 'GET' && answer.status === 404) return { kind: 'absent' };
    if ((answer.status !== 200 && answer.status !== 202) || answer.contentType !== PROTOBUF) {
      const floorMs = (answer.retryAfterSeconds ?? 0) * 1000;
      return later(problemOf(`${how} of message ${message.messageId}`, answer).message, floorMs);
    }
    return await actOn(context, message, decodeMessageReply(answer.body));
  } catch (error) {
    if (!isMpeError(error) || error.code === 'STATE_INVALID') throw error;
    if (error.code === 'NOT_AUTHENTIC') {
      // Perhaps the site has another CA by now; its document says so, or the server is refused again.
      await refreshSite(context);
    }
    const seconds = error.facts['retryAfterSeconds'];
    return later(error.message, typeof seconds === 'number' ? seconds * 1000 : 0);
  }
}

/** One request with a site token. A 401 is worth one new token, never more, never a registration. */
async function exchange(
  context: ClientContext,
  message: StoredMessage,
  how: 'POST' | 'GET',
): Promise<HttpAnswer> {
  const { url, settings, token } = context;
  for (let second = false; ; second = true) {
    const bearer = await token.get(context);
    const body = how === 'POST' ? await sealMessage(context, message) : undefined;
    settings.onEvent({ event: 'client.message-sent', messageId: message.messageId, how });
    const answer = await callGateway({
      agent: context.agent,
      url,
      settings,
      method: how,
      path: how === 'POST' ? '/v1/messages' : `/v1/messages/${message.messageId}`,
      ...(body === undefined ? {} : { body }),
      bearer,
      waitSeconds: settings.waitSeconds,
    });
    if (answer.status !== 401) return answer;
    token.drop(bearer);
    if (second) return answer;
  }
}

async function actOn(context: ClientContext, message: StoredMessage, reply: MessageReply): Promise<Attempt> {
  const { messageId } = message;
  const statement = await verified(context, message, reply);
  if (statement === null) {
    const { disposition, reason } = reply;
    context.settings.onEvent({ event: 'client.advice', messageId, disposition, reason });
    const said = `unsealed ${reason === 'NONE' ? disposition : `${disposition} ${reason}`}`;
    await context.keeper.update((state) => {
      const kept = state.messages.find((one) => one.messageId === messageId);
      if (kept !== undefined) kept.lastSaid = said;
    });
    // Another sealing key may be what is missing. Reading the document is safe: it is signed.
    if (reason === 'SEALING_KEY_UNKNOWN' || reason === 'CANNOT_OPEN') await refreshSite(context);
    return later(said, reply.retryAfterSeconds * 1000, disposition === 'QUEUED' ? 'GET' : 'POST');
  }
  context.settings.onEvent({
    event: 'client.reply-verified',
    messageId,
    disposition: statement.disposition,
    reason: statement.reason,
  });
  const applied = await context.keeper.update((state) => {
    const kept = state.messages.find((one) => one.messageId === messageId);
    return kept === undefined ? null : applyReply(state, kept, statement);
  });
  await afterReply(context, statement);
  if (applied?.kind === 'settled') return applied;
  return later(`${statement.disposition} ${statement.reason}`, reply.retryAfterSeconds * 1000);
}

async function verified(
  context: ClientContext,
  message: StoredMessage,
  reply: MessageReply,
): Promise<ReplyStatement | null> {
  if (reply.sealedReply === '') return null;
  try {
    return await verifyReply(reply.sealedReply, message, context.keeper.state);
  } catch (error) {
    if (!isMpeError(error, 'NOT_AUTHENTIC')) throw error;
    const { messageId } = message;
    context.settings.onEvent({ event: 'client.reply-refused', messageId, detail: error.message });
    return null;
  }
}

/** What a verified reply asks for beside its results. */
async function afterReply(context: ClientContext, reply: ReplyStatement): Promise<void> {
  const { settings, keeper } = context;
  if (reply.registerAnew) settings.onEvent({ event: 'client.register-anew' });
  if (reply.commands.length > 0) {
    const rotate = reply.commands.filter((one) => one.type === 'ROTATE_KEY').length;
    settings.onEvent({ event: 'client.commands', rotate, escrow: reply.commands.length - rotate });
  }
  if (reply.siteDocumentVersion > context.document.version) await refreshSite(context);
  const { expiresAtMs } = context.document;
  if (keeper.state.serverTimeMs > expiresAtMs) {
    settings.onEvent({ event: 'client.site-document-expired', expiredAtMs: expiresAtMs });
  }
}

function later(why: string, floorMs: number, next: 'POST' | 'GET' = 'POST'): Attempt {
  return { kind: 'later', why, floorMs, next };
}
