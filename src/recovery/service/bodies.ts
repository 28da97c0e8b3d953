import type { FastifyInstance, FastifyRequest } from 'fastify';
import { RecoveryProblem } from './problems.js';

export const JSON_TYPE = 'application/json';
export const FORM_TYPE = 'application/x-www-form-urlencoded';
export const SOAP_TYPE = 'application/soap+xml';

const essence = (header: string): string => (header.split(';', 1)[0] ?? '').trim().toLowerCase();

/** Which types a body may have is judged before it is read, and read by one of three parsers. */
export function addBodies(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addHook('onRequest', async (request) => {
    assertType(request);
    assertAcceptable(request);
    return Promise.resolve();
  });
  server.addContentTypeParser(JSON_TYPE, { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, body === '' ? null : parseJson(body as string));
    } catch {
      done(new RecoveryProblem('REQUEST_MALFORMED', 'The body is no JSON.'), undefined);
    }
  });
  server.addContentTypeParser(FORM_TYPE, { parseAs: 'string' }, (_request, body, done) => {
    // A name that stands twice would let two readers see two values.
    const fields = new Map<string, string>();
    for (const [name, value] of new URLSearchParams(body as string)) {
      if (fields.has(name)) {
        done(new RecoveryProblem('REQUEST_MALFORMED', `The field ${name} stands twice.`), undefined);
        return;
      }
      fields.set(name, value);
    }
    done(null, Object.fromEntries(fields));
  });
  server.addContentTypeParser(SOAP_TYPE, { parseAs: 'string' }, (_request, body, done) => done(null, body));
}

/** JSON without the names that reach into objects. */
function parseJson(text: string): unknown {
  return JSON.parse(text, (name, value: unknown) => (name === '__proto__' ? undefined : value));
}

function assertType(request: FastifyRequest): void {
  const { 'content-encoding': encoding, 'content-type': type, 'content-length': length } = request.headers;
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    throw new RecoveryProblem('CONTENT_ENCODING_UNSUPPORTED', 'Send the body without Content-Encoding.', {
      headers: { 'accept-encoding': 'identity' },
    });
  }
  if (request.method !== 'POST' && request.method !== 'PUT') return;
  const hasBody =
    (length !== undefined && length !== '0') || request.headers['transfer-encoding'] !== undefined;
  if (!hasBody && type === undefined) return;
  const takes = request.routeOptions.config.takes ?? [JSON_TYPE];
  if (takes.includes(essence(type ?? ''))) return;
  throw new RecoveryProblem('MEDIA_TYPE_UNSUPPORTED', `Send the body as ${takes.join(' or ')}.`, {
    headers: { 'accept-post': takes.join(', ') },
  });
}

/** API answers are JSON; pages and compatible answers have one type each and ignore the header. */
function assertAcceptable(request: FastifyRequest): void {
  const { accept } = request.headers;
  const { page, source, access } = request.routeOptions.config;
  if (accept === undefined || access === undefined || page !== undefined || source !== undefined) return;
  if (!request.url.startsWith('/api/')) return;
  const types = accept.split(',').map(essence);
  if (types.some((type) => ['*/*', 'application/*', JSON_TYPE, 'application/problem+json'].includes(type)))
    return;
  throw new RecoveryProblem('NOT_ACCEPTABLE', `This address answers ${JSON_TYPE}.`);
}
