import { Agent, request } from 'node:https';

const TIMEOUT_MS = 5000;
const MAX_BYTES = 512 * 1024;

/** What the OpenID library asks with. */
export type Fetch = (
  url: string,
  options: {
    readonly method: string;
    readonly headers: Record<string, string>;
    readonly body?: unknown;
    readonly signal?: AbortSignal | undefined;
  },
) => Promise<Response>;

/**
 * Asks a provider over TLS, verified against the CAs given: no redirects, no cookies, a bound for time
 * and size. The system's fetch takes no CAs of its own.
 */
export function httpsFetch(ca: string | null): Fetch {
  const agent = new Agent({ keepAlive: false, minVersion: 'TLSv1.2', ...(ca === null ? {} : { ca }) });
  return (url, options) =>
    new Promise((resolve, reject) => {
      const body = bodyOf(options.body);
      const sent = request(url, {
        agent,
        method: options.method,
        headers: {
          ...options.headers,
          ...(body === null ? {} : { 'content-length': Buffer.byteLength(body) }),
        },
        signal: AbortSignal.any([
          AbortSignal.timeout(TIMEOUT_MS),
          ...(options.signal ? [options.signal] : []),
        ]),
      });
      sent.on('error', reject);
      sent.on('response', (response) => {
        const parts: Buffer[] = [];
        let size = 0;
        response.on('data', (part: Buffer) => {
          size += part.length;
          if (size > MAX_BYTES) sent.destroy(new Error('the answer of the provider is too large'));
          else parts.push(part);
        });
        response.on('error', reject);
        response.on('end', () => {
          const headers = new Headers();
          for (const [name, value] of Object.entries(response.headers)) {
            if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
          }
          const status = response.statusCode ?? 502;
          const empty = status === 204 || status === 304;
          resolve(new Response(empty ? null : Buffer.concat(parts), { status, headers }));
        });
      });
      sent.end(body ?? undefined);
    });
}

function bodyOf(body: unknown): string | null {
  if (body === undefined || body === null) return null;
  if (typeof body === 'string') return body;
  if (body instanceof URLSearchParams) return body.toString();
  throw new Error('a body of another kind is not sent');
}
