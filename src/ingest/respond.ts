import type { FastifyReply, FastifyRequest } from 'fastify';
import { encodeProblem } from '../protocol/problem.js';
import { answerType, problemForm } from './media.js';
import { isRetryable, PROBLEM_TITLES, problemType, type HttpProblem, type ProblemCode } from './problems.js';

/** Answers with a protobuf message, in the media type that the client uses. */
export function sendProtobuf(
  request: FastifyRequest,
  reply: FastifyReply,
  status: number,
  body: Buffer,
): FastifyReply {
  return reply
    .code(status)
    .header('content-type', answerType(request.headers))
    .header('cache-control', 'no-store')
    .send(body);
}

/** Answers with a problem: RFC 9457 JSON, or protobuf for who speaks protobuf. */
export function sendProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  problem: HttpProblem,
): FastifyReply {
  const form = problemForm(request.headers);
  if (isRetryable(problem.code) && problem.headers['retry-after'] === undefined) {
    reply.header('retry-after', String(retryAfterSeconds(problem.code)));
  }
  return reply
    .code(problem.status)
    .headers(problem.headers)
    .header('cache-control', 'no-store')
    .header('content-type', form === 'json' ? 'application/problem+json' : form)
    .send(problemBody(problem.code, problem.status, problem.message, form === 'json'));
}

/** The bytes of a problem. */
export function problemBody(code: ProblemCode, status: number, detail: string, json: boolean): Buffer {
  const problem = { type: problemType(code), title: PROBLEM_TITLES[code], status, detail, code };
  return json ? Buffer.from(JSON.stringify(problem)) : encodeProblem(problem);
}

/**
 * Seconds until a client should come back, spread out so that a fleet does not return at once:
 * soon for a gateway that others can stand in for, later where the whole site has to catch up.
 */
export function retryAfterSeconds(code: ProblemCode): number {
  const [least, most] = code === 'QUEUE_FULL' ? [10, 60] : code === 'DRAINING' ? [1, 3] : [2, 10];
  return least + Math.floor(Math.random() * (most - least + 1));
}
