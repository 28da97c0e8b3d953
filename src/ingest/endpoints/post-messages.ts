import type { FastifyInstance } from 'fastify';
import { guard } from '../../jose/index.js';
import { isMpeError } from '../../ops/errors.js';
import type { Envelope } from '../../protocol/client-message.js';
import { decodeEnvelope } from '../../protocol/envelope.js';
import { decodeMessageReply, encodeMessageReply } from '../../protocol/message-reply.js';
import { LIMITS } from '../../protocol/vocabulary.js';
import { bodyTypeNumber } from '../../protocol/wire-enums.js';
import { jobFormatOf, jobIdOf, type JobChannel, type MessageJob } from '../../queue/index.js';
import type { GatewayContext } from '../context.js';
import { channelOf, requireChannel, requireProtobuf, requireQueue } from '../guards.js';
import { HttpProblem } from '../problems.js';
import { sendProtobuf } from '../respond.js';
import { queuedReply, replyStatus, storedReply } from '../stored-reply.js';
import { submitAndWait } from '../submit.js';

/** POST /v1/messages: an Envelope in, a MessageReply out. */
export function postMessages(server: FastifyInstance, context: GatewayContext): void {
  server.post(
    '/v1/messages',
    {
      bodyLimit: LIMITS.envelopeBytes,
      onRequest: [requireProtobuf, requireChannel(context), requireQueue(context)],
    },
    async (request, reply) => {
      const channel = channelOf(request);
      const body = request.body as Buffer;
      context.metrics.ingestBodyBytes.observe(body.length);
      const envelope = readEnvelope(body);
      assertOwn(envelope, channel, context);
      assertShape(envelope);
      const job = messageJob(envelope, channel, context);
      const { bytes, waited } = await submitAndWait(context, request, reply, job);
      const answer = await answerFor(context, job, bytes, waited);
      reply.header('location', `/v1/messages/${envelope.messageId}`);
      return sendProtobuf(request, reply, answer.status, answer.body);
    },
  );
}

function readEnvelope(body: Buffer): Envelope {
  try {
    return decodeEnvelope(body);
  } catch (error) {
    if (!isMpeError(error, 'MALFORMED')) throw error;
    throw new HttpProblem('ENVELOPE_MALFORMED', error.message, { cause: error });
  }
}

/** Channel and envelope name the same client; whether the seal does too, a worker finds out. */
function assertOwn(envelope: Envelope, channel: JobChannel, context: GatewayContext): void {
  if (envelope.clientId === channel.clientId) return;
  context.log.warn(
    {
      event: 'gateway.client_mismatch',
      channelClientId: channel.clientId,
      envelopeClientId: envelope.clientId,
      messageId: envelope.messageId,
    },
    'an envelope names another client than its channel',
  );
  throw new HttpProblem(
    'CLIENT_MISMATCH',
    'The envelope names another client than its channel (token or certificate).',
  );
}

/** What can be seen without a key: five parts, the one header, a kid. */
function assertShape(envelope: Envelope): void {
  try {
    guard(envelope.sealed, 'mpe-env');
  } catch (error) {
    if (!isMpeError(error, 'CANNOT_OPEN')) throw error;
    throw new HttpProblem('SEALED_MALFORMED', error.message, { cause: error });
  }
}

function messageJob(envelope: Envelope, channel: JobChannel, context: GatewayContext): MessageJob {
  return {
    v: jobFormatOf(channel),
    kind: 'message',
    clientId: envelope.clientId,
    messageId: envelope.messageId,
    bodyType: bodyTypeNumber(envelope.bodyType),
    sentAtMs: envelope.sentAtMs,
    sealed: envelope.sealed,
    traceparent: envelope.traceparent,
    tracestate: envelope.tracestate,
    channel,
    gatewayId: context.gatewayId,
    receivedAtMs: context.clock.now(),
  };
}

/**
 * The answer to a message that is in the queue: the worker's reply; else, at the end of a wait, what
 * is stored by now (the reply may have gone to another gateway); else QUEUED. From here on nothing
 * fails: the message is accepted.
 */
async function answerFor(
  context: GatewayContext,
  job: MessageJob,
  bytes: Buffer | null,
  waited: boolean,
): Promise<{ readonly status: number; readonly body: Buffer }> {
  const queued = { status: 202, body: encodeMessageReply(queuedReply(job.messageId)) };
  if (!waited) return queued;
  try {
    const reply = bytes ?? (await context.replies.read(jobIdOf(job)).catch(() => null));
    if (reply !== null) return { status: replyStatus(decodeMessageReply(reply)), body: reply };
    const stored = await storedReply(context.store, job.clientId, job.messageId);
    if (stored === null) return queued;
    return { status: replyStatus(stored), body: encodeMessageReply(stored) };
  } catch (error) {
    context.log.warn({ event: 'gateway.outcome_unread', messageId: job.messageId, error });
    return queued;
  }
}
