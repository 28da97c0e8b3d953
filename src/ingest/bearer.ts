import type { FastifyRequest } from 'fastify';
import { HttpProblem } from './problems.js';

/** A bearer token, by the `typ` of its header: nothing of it is verified. */
export interface Bearer {
  readonly token: string;
  /** A site token says so in its header; every other one is somebody else's. */
  readonly isSiteToken: boolean;
}

/** More than any token that is taken, and than the headers of a request may have in all. */
const MAX_CHARS = 16 * 1024;

/**
 * The bearer token of a request.
 *
 * @returns null where there is none.
 * @throws HttpProblem REQUEST_MALFORMED for several Authorization headers, of which Node would take
 *   the first and a proxy perhaps the last.
 */
export function bearerOf(request: FastifyRequest): Bearer | null {
  const lines = request.raw.headersDistinct['authorization'] ?? [];
  if (lines.length > 1) {
    throw new HttpProblem('REQUEST_MALFORMED', 'Send one Authorization header.');
  }
  const token = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec((lines[0] ?? '').trim())?.[1];
  if (token === undefined || token.length > MAX_CHARS) return null;
  return { token, isSiteToken: typOf(token) === 'mpe-access+jwt' };
}

function typOf(token: string): unknown {
  try {
    const header = JSON.parse(Buffer.from(token.split('.', 1)[0] ?? '', 'base64url').toString()) as unknown;
    return (header as { readonly typ?: unknown } | null)?.typ;
  } catch {
    return undefined;
  }
}
