import { request, type Agent } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { isMpeError, MpeError } from '../ops/errors.js';

/** An answer, whole. */
export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  /** Seconds, null where absent. */
  readonly retryAfterSeconds: number | null;
  readonly body: Buffer;
}

/** One request. */
export interface HttpRequest {
  readonly agent: Agent;
  readonly url: URL;
  readonly method: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with each response before its body is read, to look at its connection. */
  readonly onResponse?: (response: IncomingMessage) => void;
}

/** Larger than every answer of the protocol. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** A server may ask for patience, but not for ever. */
const MAX_RETRY_AFTER_SECONDS = 3600;

/**
 * Sends one request and reads the whole answer, whatever its status.
 *
 * @throws MpeError UNREACHABLE (no answer in time, connection refused or broken) or NOT_AUTHENTIC
 *   (the server's certificate).
 */
export async function exchangeHttp(call: HttpRequest): Promise<HttpAnswer> {
  try {
    return await once(call);
  } catch (error) {
    // The server closed an idle connection just as we used it: nothing was processed, try a new one.
    if (error instanceof StaleConnection) return once(call);
    throw error;
  }
}

class StaleConnection extends MpeError {
  constructor(cause: unknown) {
    super('UNREACHABLE', 'the server closed an idle connection', { cause });
  }
}

function once(call: HttpRequest): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const where = `${call.method} ${call.url.origin}${call.url.pathname}`;
    const sent = request(call.url, {
      agent: call.agent,
      method: call.method,
      headers: {
        ...call.headers,
        ...(call.body === undefined ? {} : { 'content-length': String(call.body.length) }),
      },
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    });
    const fail = (error: Error): void => {
      clearTimeout(timer);
      if (isMpeError(error)) reject(error);
      else if (sent.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET') {
        reject(new StaleConnection(error));
      } else reject(new MpeError('UNREACHABLE', `${where}: ${error.message}`, { cause: error }));
    };
    const timer = setTimeout(() => {
      const late = new MpeError('UNREACHABLE', `${where}: no answer within ${call.timeoutMs} ms`);
      // A request that still waits for its connection would not tell of its end.
      fail(late);
      sent.destroy(late);
    }, call.timeoutMs);
    sent.on('error', fail);
    sent.on('response', (response) => {
      call.onResponse?.(response);
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        size += part.length;
        if (size > MAX_ANSWER_BYTES) {
          sent.destroy(new MpeError('UNREACHABLE', `${where}: the answer is larger than 1 MiB`));
        } else parts.push(part);
      });
      response.on('error', fail);
      response.on('end', () => {
        clearTimeout(timer);
        resolve({
          status: response.statusCode ?? 0,
          contentType: (response.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '',
          retryAfterSeconds: retryAfter(response.headers['retry-after']),
          body: Buffer.concat(parts),
        });
      });
    });
    sent.end(call.body);
  });
}

function retryAfter(header: string | undefined): number | null {
  if (header === undefined || !/^[0-9]{1,9}$/.test(header)) return null;
  return Math.min(Number(header), MAX_RETRY_AFTER_SECONDS);
}
