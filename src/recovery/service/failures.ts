import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isMpeError, type MpeError } from '../../ops/errors.js';
import type { Logger } from '../../ops/log.js';
import { SignInRefused } from '../sign-in/problems.js';
import { mbamEventOf } from './mbam-events.js';
import {
  RECOVERY_PROBLEMS,
  RecoveryProblem,
  recoveryProblemStatus,
  type RecoveryProblemCode,
} from './problems.js';

/** A body of a request has at most so many bytes. */
export const BODY_BYTES = 64 * 1024;

/** The problem that an error of a request is told as. What people must not see stays in the log. */
export function toRecoveryProblem(error: unknown, request: FastifyRequest, log: Logger): RecoveryProblem {
  const problem = known(error, request.routeOptions.bodyLimit);
  if (problem !== null && problem.status < 500) return problem;
  const source = request.routeOptions.config.source ?? 'Recovery API';
  log.error(
    { event: 'recovery.request_failed', mbamEventId: mbamEventOf(source, error), source, error },
    'a request failed',
  );
  return problem ?? new RecoveryProblem('INTERNAL', 'Try again later; the log of the service says more.');
}

function known(error: unknown, bodyLimit: number): RecoveryProblem | null {
  if (error instanceof RecoveryProblem) return error;
  if (error instanceof SignInRefused) return ofSignIn(error);
  if (isMpeError(error)) return ofMpeError(error);
  switch ((error as { code?: unknown }).code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new RecoveryProblem('BODY_TOO_LARGE', `A body has at most ${bodyLimit} bytes here.`);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new RecoveryProblem(
        'MEDIA_TYPE_UNSUPPORTED',
        'Send the body in a type that this address takes.',
      );
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'FST_ERR_BAD_URL':
      return new RecoveryProblem('REQUEST_MALFORMED', 'Body, length or address do not fit the request.');
    case 'ECONNRESET':
      return new RecoveryProblem('REQUEST_MALFORMED', 'The body ended before its length.');
    default:
      return null;
  }
}

function ofMpeError(error: MpeError): RecoveryProblem | null {
  if (error.code === 'VALUE_INVALID' || error.code === 'USAGE') {
    return new RecoveryProblem('VALUE_INVALID', error.message, { cause: error });
  }
  if (error.code === 'POLICY_CHANGED')
    return new RecoveryProblem('CONFLICT', error.message, { cause: error });
  if (error.code === 'STORE_TRANSIENT' || error.code === 'STORE_FAILED') {
    return new RecoveryProblem('STORE_UNAVAILABLE', 'The site database does not answer. Try again.', {
      cause: error,
      headers: { 'retry-after': '2' },
    });
  }
  if (error.code === 'AUDIT_UNAVAILABLE') {
    return new RecoveryProblem('AUDIT_UNAVAILABLE', error.message, {
      cause: error,
      headers: { 'retry-after': '60' },
    });
  }
  return null;
}

function ofSignIn(error: SignInRefused): RecoveryProblem {
  const { problem, waitSeconds, message } = error;
  const more = { reason: problem, ...(waitSeconds === null ? {} : { waitSeconds }) };
  switch (problem) {
    case 'LOCKED':
      return new RecoveryProblem('RATE_LIMITED', message, {
        more,
        headers: { 'retry-after': String(waitSeconds ?? 60) },
      });
    case 'NO_ROLE':
    case 'OFF':
      return new RecoveryProblem('NOT_ALLOWED', message, { more });
    case 'PROVIDER_AWAY':
      return new RecoveryProblem('PROVIDER_UNAVAILABLE', message, { more, cause: error });
    case 'REFUSED':
    case 'PROVIDER_REFUSED':
    case 'NOT_ARMED':
      return new RecoveryProblem('SIGN_IN_REFUSED', message, { more });
  }
}

/** Answers with a problem. */
export function sendRecoveryProblem(reply: FastifyReply, problem: RecoveryProblem): FastifyReply {
  return (
    reply
      .code(problem.status)
      .headers(problem.headers)
      .header('content-type', 'application/problem+json')
      // Bytes: of a text the type would be given a charset, which this one has not.
      .send(Buffer.from(JSON.stringify(problem.body)))
  );
}

/** A refusal before a body was read: one of unknown or larger size is not waited for. */
export function closeUnread(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (request.raw.complete) return reply;
  const length = Number(request.headers['content-length'] ?? Number.NaN);
  const none = Number.isNaN(length) && request.headers['transfer-encoding'] === undefined;
  if (none || length <= BODY_BYTES) return reply;
  return reply.header('connection', 'close');
}

/** 405 at an address that takes other methods, else 404. */
export function answerUnknown(
  server: FastifyInstance,
  answer: (request: FastifyRequest, reply: FastifyReply, problem: RecoveryProblem) => unknown,
): void {
  server.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const allow = ['GET', 'POST'].filter((method) => isServed(server, path, method));
    const problem =
      allow.length === 0
        ? new RecoveryProblem('NOT_FOUND', 'Look at /api/v1/openapi.json for what is served.')
        : new RecoveryProblem('METHOD_NOT_ALLOWED', `Use ${allow.join(' or ')}.`, {
            headers: { allow: allow.join(', ') },
          });
    return answer(request, closeUnread(request, reply), problem);
  });
}

/** Whether a route answers the address. */
function isServed(server: FastifyInstance, path: string, method: string): boolean {
  return routesOf.get(server)?.some((route) => route.method === method && route.form.test(path)) ?? false;
}

const routesOf = new WeakMap<FastifyInstance, { readonly method: string; readonly form: RegExp }[]>();

/** Remembers a route for {@link answerUnknown}. */
export function rememberRoute(server: FastifyInstance, method: string, url: string): void {
  const list = routesOf.get(server) ?? [];
  const form = url
    .split('/')
    .map((part) => (part.startsWith(':') ? '[^/]+' : part === '*' ? '.*' : part.replaceAll(/[.()]/g, '\\$&')))
    .join('/');
  list.push({ method, form: new RegExp(`^${form}$`) });
  routesOf.set(server, list);
}

/** Answers what is no HTTP request, too slow or too large in its headers, and hangs up. */
export function answerBroken(error: Error & { readonly code?: string }, socket: Socket): void {
  if (socket.destroyed || error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const code: RecoveryProblemCode =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'HEADERS_TOO_LARGE'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'REQUEST_TIMEOUT'
        : 'REQUEST_MALFORMED';
  const status = recoveryProblemStatus(code);
  const body = JSON.stringify(new RecoveryProblem(code, 'The connection is closed.').body);
  socket.end(
    `HTTP/1.1 ${status} ${RECOVERY_PROBLEMS[code]}\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
  setTimeout(() => socket.destroy(), 1000).unref();
}
