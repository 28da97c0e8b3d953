import { isMpeError, MpeError } from '../ops/errors.js';
import { decodeProblem } from '../protocol/problem.js';
import type { Settings } from './context.js';
import { exchangeHttp, type HttpAnswer } from './http.js';
import type { PinnedAgent } from './pinned-agent.js';

/** The media type of every body but the site document's. */
export const PROTOBUF = 'application/protobuf';

/** One call to the gateway over the pinned channel. */
export interface GatewayCall {
  readonly agent: PinnedAgent;
  readonly url: URL;
  readonly settings: Settings;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: Uint8Array;
  /** Site token. */
  readonly bearer?: string;
  /** Seconds to ask the gateway to wait for a worker's reply; 0 and absent: not at all. */
  readonly waitSeconds?: number;
}

/**
 * Makes a call and reads the answer, whatever its status.
 *
 * @throws MpeError UNREACHABLE or NOT_AUTHENTIC (the server's certificate).
 */
export function callGateway(call: GatewayCall): Promise<HttpAnswer> {
  const { waitSeconds = 0, settings } = call;
  return exchangeHttp({
    agent: call.agent,
    url: new URL(call.path, call.url),
    method: call.method,
    headers: {
      accept: PROTOBUF,
      ...(call.body === undefined ? {} : { 'content-type': PROTOBUF }),
      ...(call.bearer === undefined ? {} : { authorization: `Bearer ${call.bearer}` }),
      ...(waitSeconds > 0 ? { prefer: `wait=${waitSeconds}` } : {}),
    },
    ...(call.body === undefined ? {} : { body: call.body }),
    timeoutMs: settings.timeoutMs + waitSeconds * 1000,
  });
}

/** The error of an answer that is no success: code and text of the problem details, where there are any. */
export function problemOf(what: string, answer: HttpAnswer): MpeError {
  const facts = { status: answer.status, retryAfterSeconds: answer.retryAfterSeconds ?? 0 };
  if (answer.contentType === PROTOBUF) {
    try {
      const { code, detail } = decodeProblem(answer.body);
      return new MpeError('HTTP_PROBLEM', `${what}: ${answer.status} ${code}: ${detail}`, {
        facts: { ...facts, code },
      });
    } catch (error) {
      if (!isMpeError(error, 'MALFORMED')) throw error;
    }
  }
  return new MpeError('HTTP_PROBLEM', `${what}: the gateway answers ${answer.status}`, { facts });
}
