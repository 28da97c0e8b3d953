import type { FastifyInstance } from 'fastify';
import { parseGuid, type Guid } from '../../protocol/guid.js';
import { decodeMessageReply, encodeMessageReply } from '../../protocol/message-reply.js';
import { messageJobId } from '../../queue/index.js';
import type { GatewayContext } from '../context.js';
import { channelOf, requireChannel } from '../guards.js';
import { HttpProblem } from '../problems.js';
import { sendProtobuf } from '../respond.js';
import { queuedReply, replyStatus, storedReply } from '../stored-reply.js';

/**
 * GET /v1/messages/{id}: the MessageReply to a message of the asking client, as far as it is known.
 * An id of another client is as unknown as one that nobody used.
 */
export function getMessage(server: FastifyInstance, context: GatewayContext): void {
  server.get<{ Params: { id: string } }>(
    '/v1/messages/:id',
    { onRequest: [requireChannel(context)] },
    async (request, reply) => {
      const { clientId } = channelOf(request);
      const messageId = readId(request.params.id);
      const body = await find(context, clientId, messageId);
      return sendProtobuf(request, reply, replyStatus(decodeMessageReply(body)), body);
    },
  );
}

function readId(text: string): Guid {
  try {
    return parseGuid(text);
  } catch (cause) {
    throw new HttpProblem('MESSAGE_ID_INVALID', 'The message id in the address is a GUID.', { cause });
  }
}

/** Reply under the job id, outcome, quarantine, dead letter, queue: in this order. */
async function find(context: GatewayContext, clientId: Guid, messageId: Guid): Promise<Buffer> {
  const jobId = messageJobId(clientId, messageId);
  const [reply, state] = await Promise.allSettled([context.replies.read(jobId), context.queue.state(jobId)]);
  if (reply.status === 'fulfilled' && reply.value !== null) return reply.value;
  const stored = await storedReply(context.store, clientId, messageId);
  if (stored !== null) return encodeMessageReply(stored);
  if (state.status === 'rejected') throw state.reason;
  if (state.value === 'present') return encodeMessageReply(queuedReply(messageId));
  // Done between the two looks, and of a kind that leaves no outcome.
  const late = await context.replies.read(jobId);
  if (late !== null) return late;
  throw new HttpProblem(
    'MESSAGE_NOT_FOUND',
    'The site has no such message of this client. Keep the old protector and send the message again.',
  );
}
