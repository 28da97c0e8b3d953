import { isMpeError, type MpeError } from '../ops/errors.js';
import type { MessageReply, ReplyStatement } from '../protocol/client-message.js';
import { decodeMessageReply } from '../protocol/message-reply.js';
import { applyReply } from './apply-reply.js';
import { escrowEvents, safeAmong, type EscrowEvent } from './escrow-events.js';
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
      /** The trouble is the gateway's, not this message's: the others leave it in peace as well. */
      readonly channel: boolean;
    };

type Later = Extract<Attempt, { kind: 'later' }>;

/** A server may ask for patience, but not for ever: what it says outside a sealed reply is not signed. */
const MAX_PATIENCE_MS = 3_600_000;

/** Client errors that pass by themselves: a new token, a slow network, a rate limit. */
const PASSING: ReadonlySet<number> = new Set([401, 408, 429]);

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
      return refused(problemOf(`${how} of message ${message.messageId}`, answer), answer.status, context);
    }
    return await actOn(context, message, decodeMessageReply(answer.body));
  } catch (error) {
    if (!isMpeError(error) || error.code === 'STATE_INVALID') throw error;
    if (error.code === 'NOT_AUTHENTIC') {
      // Perhaps the site has another CA by now; its document says so, or the server is refused again.
      await refreshSite(context);
    }
    const { status } = error.facts;
    if (error.code === 'HTTP_PROBLEM' && typeof status === 'number') {
      // There is no site token, so no message can go.
      return { ...refused(error, status, context), channel: true };
    }
    const channel = error.code === 'UNREACHABLE' || error.code === 'NOT_AUTHENTIC';
    return { ...later(error.message, 0), channel };
  }
}

/** A problem instead of a reply. A fault of ours does not pass by asking often: the longest step. */
function refused(problem: MpeError, status: number, context: ClientContext): Later {
  const seconds = problem.facts['retryAfterSeconds'];
  const asked = typeof seconds === 'number' ? seconds * 1000 : 0;
  const ours = status >= 400 && status < 500 && !PASSING.has(status);
  const floorMs = ours ? Math.max(asked, context.settings.backoff.capMs) : asked;
  return { ...later(problem.message, floorMs), channel: status === 401 || status === 429 || status === 503 };
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
      ...(bearer === null ? {} : { bearer }),
      waitSeconds: settings.waitSeconds,
    });
    if (answer.status !== 401) return answer;
    // A certificate is refused: nothing that we hold would be better.
    if (bearer === null) return answer;
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
  let escrowed: EscrowEvent[] = [];
  const applied = await context.keeper.update((state) => {
    const kept = state.messages.find((one) => one.messageId === messageId);
    if (kept === undefined) return null;
    const wasSafe = safeAmong(state, statement);
    const result = applyReply(state, kept, statement);
    escrowed = escrowEvents(wasSafe, state, result);
    return result;
  });
  for (const event of escrowed) context.settings.onEvent(event);
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

function later(why: string, floorMs: number, next: 'POST' | 'GET' = 'POST'): Later {
  return { kind: 'later', why, floorMs: Math.min(floorMs, MAX_PATIENCE_MS), next, channel: false };
}
