import type {
  FastifyReply,
  FastifyRequest,
  onRequestAsyncHookHandler,
  onSendAsyncHookHandler,
} from 'fastify';
import type { JobChannel } from '../queue/index.js';
import { authenticate, identify } from './authenticate.js';
import type { GatewayContext } from './context.js';
import { ACCEPT_POST, protobufType } from './media.js';
import { HttpProblem } from './problems.js';

/**
 * What is checked before a body is read, as fastify `onRequest` hooks. An answer given here closes
 * the connection where a body is still on its way, so that nobody can make the gateway read it.
 */
const channels = new WeakMap<FastifyRequest, JobChannel>();

/** Who sent the request; set by {@link requireChannel}. */
export function channelOf(request: FastifyRequest): JobChannel {
  const channel = channels.get(request);
  if (channel === undefined) throw new Error('this route has no requireChannel hook');
  return channel;
}

/** Who sent the request; null where it names nobody. Set by {@link readChannel}. */
export function optionalChannelOf(request: FastifyRequest): JobChannel | null {
  return channels.get(request) ?? null;
}

/** Authenticates the channel, and charges client and address. */
export function requireChannel(context: GatewayContext): onRequestAsyncHookHandler {
  const { limits, authenticators } = context;
  return async (request) => {
    channels.set(request, await limits.identified(request, authenticate(authenticators, request)));
  };
}

/** Authenticates the channel where the request carries an identity; an identity that is bad is refused. */
export function readChannel(context: GatewayContext): onRequestAsyncHookHandler {
  return async (request) => {
    const channel = await identify(context.authenticators, request);
    if (channel !== null) channels.set(request, channel);
  };
}

/** More header lines than any client of ours or its proxies send. */
const MAX_HEADERS = 64;

/** Bounds the number of header lines; their size is bounded by the server. */
export const limitHeaders: onRequestAsyncHookHandler = async (request) => {
  if (request.raw.rawHeaders.length > 2 * MAX_HEADERS) {
    throw new HttpProblem('HEADERS_TOO_LARGE', `A request has at most ${MAX_HEADERS} header lines here.`, {
      headers: { connection: 'close' },
    });
  }
  return Promise.resolve();
};

/** Takes protobuf, unencoded, alone. */
export const requireProtobuf: onRequestAsyncHookHandler = async (request) => {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    throw new HttpProblem(
      'CONTENT_ENCODING_UNSUPPORTED',
      'Send the body without Content-Encoding: what is sealed does not get smaller.',
      { headers: { 'accept-encoding': 'identity' } },
    );
  }
  if (protobufType(request.headers['content-type']) === null) {
    throw new HttpProblem('MEDIA_TYPE_UNSUPPORTED', `Send the body as ${ACCEPT_POST}.`, {
      headers: { 'accept-post': ACCEPT_POST },
    });
  }
  return Promise.resolve();
};

/** Refuses at once where a job would not be taken now. */
export function requireQueue(context: GatewayContext): onRequestAsyncHookHandler {
  return async () => {
    context.redisSafety.assertSafe();
    context.queue.admit();
    return Promise.resolve();
  };
}

/** Answers given while the gateway goes down end their connection, so that it can close. */
export function endConnections(context: GatewayContext): onSendAsyncHookHandler {
  return async (_request, reply) => {
    if (context.drain.aborted) reply.header('connection', 'close');
    return Promise.resolve();
  };
}

/** Counts requests in hand; beyond the bound, or while the gateway goes down, there is no entry. */
export function admission(context: GatewayContext): onRequestAsyncHookHandler {
  let inFlight = 0;
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const startedAt = performance.now();
    inFlight += 1;
    context.metrics.ingestInFlight.set(inFlight);
    // `close` comes once for every response, also for one whose client went away.
    reply.raw.once('close', () => {
      inFlight -= 1;
      const route = request.routeOptions.url ?? 'none';
      context.metrics.ingestInFlight.set(inFlight);
      context.metrics.ingestRequests.inc({ route, code: String(reply.statusCode) });
      context.metrics.ingestDuration.observe({ route }, (performance.now() - startedAt) / 1000);
    });
    if (context.drain.aborted) {
      throw new HttpProblem('DRAINING', 'This gateway is going down. Send the same request to another one.');
    }
    if (inFlight > context.maxInFlight) {
      throw new HttpProblem(
        'TOO_BUSY',
        `This gateway has ${context.maxInFlight} requests in hand. Send the same request again later.`,
      );
    }
    return Promise.resolve();
  };
}
