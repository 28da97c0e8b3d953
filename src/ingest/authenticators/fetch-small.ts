import { request } from 'node:https';
import { MpeError } from '../../ops/errors.js';

const MAX_BYTES = 256 * 1024;
const TIMEOUT_MS = 5000;

/**
 * Fetches a small text over TLS: no redirects, no cookies, one time-out for the whole.
 *
 * @throws MpeError UNREACHABLE
 */
export function fetchSmall(
  url: string,
  options: { readonly ca: string | null; readonly timeoutMs?: number },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void => {
      clearTimeout(timer);
      sent.destroy();
      reject(new MpeError('UNREACHABLE', `${url}: ${why}`, { cause }));
    };
    const sent = request(url, {
      agent: false,
      headers: { accept: 'application/json' },
      minVersion: 'TLSv1.2',
      ...(options.ca === null ? {} : { ca: options.ca }),
    });
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const timer = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), timeoutMs);
    sent.on('error', (error) => fail(error.message, error));
    sent.on('response', (response) => {
      if (response.statusCode !== 200) {
        fail(`it answers ${response.statusCode ?? 0}`);
        return;
      }
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        size += part.length;
        if (size > MAX_BYTES) fail(`the answer has more than ${MAX_BYTES} bytes`);
        else parts.push(part);
      });
      response.on('error', (error) => fail(error.message, error));
      response.on('end', () => {
        clearTimeout(timer);
        resolve(Buffer.concat(parts).toString('utf8'));
      });
    });
    sent.end();
  });
}
