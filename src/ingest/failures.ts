import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isMpeError, type MpeError } from '../ops/errors.js';
import { LIMITS } from '../protocol/vocabulary.js';
import type { GatewayContext } from './context.js';
import { HttpProblem, PROBLEM_TITLES, problemStatus, type ProblemCode } from './problems.js';
import { problemBody, sendProblem } from './respond.js';

/** The problem that an error of a request is told as. What a client must not see stays in the log. */
export function toProblem(error: unknown, context: GatewayContext): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (isMpeError(error)) {
    const known = ofMpeError(error);
    if (known !== null) return known;
  }
  const framework = ofFastify(error);
  if (framework !== null) return framework;
  context.log.error({ event: 'gateway.failed', error }, 'a request failed');
  return new HttpProblem('INTERNAL', 'Send the same request again later.', { cause: error });
}

function ofMpeError(error: MpeError): HttpProblem | null {
  const { code } = error;
  if (code === 'QUEUE_UNAVAILABLE') {
    return new HttpProblem(
      code,
      'The queue does not answer. The message is not acknowledged: send the same request again.',
      { cause: error },
    );
  }
  if (code === 'QUEUE_FULL') {
    return new HttpProblem(code, 'The queue is full. Send the same request again later.', { cause: error });
  }
  if (code === 'STORE_TRANSIENT' || code === 'STORE_FAILED') {
    return new HttpProblem(
      'STORE_UNAVAILABLE',
      'The site database does not answer. Send the same request again.',
      { cause: error },
    );
  }
  return null;
}

function ofFastify(error: unknown): HttpProblem | null {
  switch ((error as { code?: unknown }).code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new HttpProblem(
        'BODY_TOO_LARGE',
        `A body has at most ${LIMITS.envelopeBytes} bytes here (less on some addresses). Spread key packages over messages.`,
      );
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'FST_ERR_BAD_URL':
      return new HttpProblem('REQUEST_MALFORMED', 'Content-Length or address do not fit the request.');
    case 'ECONNRESET':
      return new HttpProblem('REQUEST_MALFORMED', 'The body ended before its length.');
    default:
      return null;
  }
}

/**
 * A refusal before the body was read: a body within the limit is let run out, so that the client
 * reads the answer; for one of unknown or larger size the connection is closed.
 */
export function closeUnread(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (request.raw.complete) return reply;
  const length = Number(request.headers['content-length'] ?? Number.NaN);
  const none = Number.isNaN(length) && request.headers['transfer-encoding'] === undefined;
  if (none || length <= LIMITS.envelopeBytes) return reply;
  return reply.header('connection', 'close');
}

const METHODS: Readonly<Record<string, string>> = {
  '/v1/messages': 'POST',
  '/v1/clients': 'POST',
  '/v1/token': 'POST',
  '/v1/token/nonce': 'GET',
  '/v1/site': 'GET',
};

/** 405 at an address that takes other methods, else 404. */
export function answerUnknown(server: FastifyInstance): void {
  server.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const allow = METHODS[path] ?? (/^\/v1\/messages\/[^/]+$/.test(path) ? 'GET' : undefined);
    const problem =
      allow === undefined
        ? new HttpProblem(
            'NOT_FOUND',
            'This gateway serves /v1/messages, /v1/clients, /v1/token and /v1/site.',
          )
        : new HttpProblem('METHOD_NOT_ALLOWED', `Use ${allow}.`, { headers: { allow } });
    return sendProblem(request, closeUnread(request, reply), problem);
  });
}

/** Answers what is no HTTP request, too slow or too large in its headers, and hangs up. */
export function answerBroken(error: Error & { readonly code?: string }, socket: Socket): void {
  if (socket.destroyed || error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const code: ProblemCode =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'HEADERS_TOO_LARGE'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'REQUEST_TIMEOUT'
        : 'REQUEST_MALFORMED';
  const status = problemStatus(code);
  const body = problemBody(code, status, 'The connection is closed.', true);
  socket.end(
    `HTTP/1.1 ${status} ${PROBLEM_TITLES[code]}\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${body.length}\r\nconnection: close\r\n\r\n${body.toString()}`,
  );
  // Whoever does not read the answer does not keep the connection.
  setTimeout(() => socket.destroy(), 1000).unref();
}
