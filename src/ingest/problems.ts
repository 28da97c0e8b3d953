import { assertNever } from '../ops/errors.js';

/**
 * Every problem that the gateway answers with before the queue: the one catalogue. A code is stable;
 * clients and documents rely on it. docs/protocol.md prints this table.
 */
export const PROBLEM_TITLES = {
  ENVELOPE_MALFORMED: 'The body is not an Envelope',
  SEALED_MALFORMED: 'The sealed part is not the token that it must be',
  REQUEST_MALFORMED: 'The request is malformed',
  FORWARDED_IDENTITY_REFUSED: 'A forwarded certificate is not taken from here',
  MESSAGE_ID_INVALID: 'The message id in the address is not a GUID',
  AUTHENTICATION_REQUIRED: 'Authentication is required',
  SITE_TOKEN_INVALID: 'The site token is not accepted',
  DEVICE_TOKEN_INVALID: 'The device token is not accepted',
  CERTIFICATE_REFUSED: 'The client certificate is not accepted',
  NONCE_INVALID: 'The nonce is not accepted',
  PROOF_INVALID: 'The proof of the client key is not accepted',
  CLIENT_UNKNOWN: 'The site does not know this client',
  CLIENT_BLOCKED: 'The client is blocked',
  CLIENT_PENDING: 'The registration waits for an operator',
  CLIENT_MISMATCH: 'The envelope names another client than the channel',
  IDENTITY_CONFLICT: 'The request carries two identities that disagree',
  MESSAGE_NOT_FOUND: 'The site has no such message of this client',
  NOT_FOUND: 'There is nothing at this address',
  METHOD_NOT_ALLOWED: 'This address does not take this method',
  REQUEST_TIMEOUT: 'The request took too long',
  BODY_TOO_LARGE: 'The body is too large',
  MEDIA_TYPE_UNSUPPORTED: 'The media type is not supported',
  CONTENT_ENCODING_UNSUPPORTED: 'The content encoding is not supported',
  RATE_LIMITED: 'Too many requests',
  HEADERS_TOO_LARGE: 'The request headers are too large',
  INTERNAL: 'The gateway failed',
  QUEUE_UNAVAILABLE: 'The queue does not take messages',
  QUEUE_FULL: 'The queue is full',
  STORE_UNAVAILABLE: 'The site database does not answer',
  CHANNEL_UNAVAILABLE: 'The gateway cannot check identities',
  TOO_BUSY: 'The gateway is busy',
  DRAINING: 'The gateway is going down',
} as const;

/** A code of the catalogue. */
export type ProblemCode = keyof typeof PROBLEM_TITLES;

/** All codes, in the order of the catalogue. */
export const PROBLEM_CODES = Object.keys(PROBLEM_TITLES) as readonly ProblemCode[];

/** The HTTP status of a problem. */
export function problemStatus(code: ProblemCode): number {
  switch (code) {
    case 'ENVELOPE_MALFORMED':
    case 'SEALED_MALFORMED':
    case 'REQUEST_MALFORMED':
    case 'FORWARDED_IDENTITY_REFUSED':
    case 'MESSAGE_ID_INVALID':
      return 400;
    case 'AUTHENTICATION_REQUIRED':
    case 'SITE_TOKEN_INVALID':
    case 'DEVICE_TOKEN_INVALID':
    case 'CERTIFICATE_REFUSED':
    case 'NONCE_INVALID':
    case 'PROOF_INVALID':
    case 'CLIENT_UNKNOWN':
      return 401;
    case 'CLIENT_BLOCKED':
    case 'CLIENT_PENDING':
    case 'CLIENT_MISMATCH':
    case 'IDENTITY_CONFLICT':
      return 403;
    case 'MESSAGE_NOT_FOUND':
    case 'NOT_FOUND':
      return 404;
    case 'METHOD_NOT_ALLOWED':
      return 405;
    case 'REQUEST_TIMEOUT':
      return 408;
    case 'BODY_TOO_LARGE':
      return 413;
    case 'MEDIA_TYPE_UNSUPPORTED':
    case 'CONTENT_ENCODING_UNSUPPORTED':
      return 415;
    case 'RATE_LIMITED':
      return 429;
    case 'HEADERS_TOO_LARGE':
      return 431;
    case 'INTERNAL':
      return 500;
    case 'QUEUE_UNAVAILABLE':
    case 'QUEUE_FULL':
    case 'STORE_UNAVAILABLE':
    case 'CHANNEL_UNAVAILABLE':
    case 'TOO_BUSY':
    case 'DRAINING':
      return 503;
    default:
      return assertNever(code);
  }
}

/** Whether the same request may succeed later by itself; such answers carry `Retry-After`. */
export function isRetryable(code: ProblemCode): boolean {
  const status = problemStatus(code);
  return status === 429 || status === 503;
}

/** The URI of a problem's type. */
export function problemType(code: ProblemCode): string {
  return `urn:mpe:problem:${code.toLowerCase().replaceAll('_', '-')}`;
}

/** Thrown by what handles a request; answered as a problem. */
export class HttpProblem extends Error {
  readonly code: ProblemCode;
  /** More header lines of the answer. */
  readonly headers: Readonly<Record<string, string>>;

  /** `detail`: what was wrong with this request and what to do; it goes to the client. */
  constructor(
    code: ProblemCode,
    detail: string,
    options: { readonly headers?: Readonly<Record<string, string>>; readonly cause?: unknown } = {},
  ) {
    super(detail, { cause: options.cause });
    this.name = 'HttpProblem';
    this.code = code;
    this.headers = options.headers ?? {};
  }

  /** The HTTP status. */
  get status(): number {
    return problemStatus(this.code);
  }
}
