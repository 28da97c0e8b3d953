import { assertNever } from '../../ops/errors.js';

/** The problems that the recovery service answers with (RFC 9457), with their titles. */
export const RECOVERY_PROBLEMS = {
  REQUEST_MALFORMED: 'The request is malformed',
  VALUE_INVALID: 'A value breaks its rule',
  AUTHENTICATION_REQUIRED: 'Nobody is signed in',
  SIGN_IN_REFUSED: 'The sign-in was refused',
  NOT_ALLOWED: 'Your roles do not let you do this',
  CSRF_REFUSED: 'The request does not come from a page of this service',
  NOT_FOUND: 'There is nothing at this address',
  METHOD_NOT_ALLOWED: 'This address does not take this method',
  NOT_ACCEPTABLE: 'The answer is not to be had in a type that you accept',
  REQUEST_TIMEOUT: 'The request took too long',
  CONFLICT: 'The request does not fit what is there now',
  BODY_TOO_LARGE: 'The body is too large',
  MEDIA_TYPE_UNSUPPORTED: 'The media type is not supported',
  CONTENT_ENCODING_UNSUPPORTED: 'The content encoding is not supported',
  DISCLOSURE_REFUSED: 'The key is not shown',
  RATE_LIMITED: 'Too many requests',
  HEADERS_TOO_LARGE: 'The request headers are too large',
  INTERNAL: 'The service failed',
  STORE_UNAVAILABLE: 'The site database does not answer',
  AUDIT_UNAVAILABLE: 'The audit cannot be written: no key is shown',
  PROVIDER_UNAVAILABLE: 'The sign-in service does not answer',
  TOO_BUSY: 'The service is busy',
  DRAINING: 'The service is going down',
} as const;
export type RecoveryProblemCode = keyof typeof RECOVERY_PROBLEMS;

/** The HTTP status of a problem. */
export function recoveryProblemStatus(code: RecoveryProblemCode): number {
  switch (code) {
    case 'REQUEST_MALFORMED':
    case 'VALUE_INVALID':
      return 400;
    case 'AUTHENTICATION_REQUIRED':
    case 'SIGN_IN_REFUSED':
      return 401;
    case 'NOT_ALLOWED':
    case 'CSRF_REFUSED':
    case 'DISCLOSURE_REFUSED':
      return 403;
    case 'NOT_FOUND':
      return 404;
    case 'METHOD_NOT_ALLOWED':
      return 405;
    case 'NOT_ACCEPTABLE':
      return 406;
    case 'REQUEST_TIMEOUT':
      return 408;
    case 'CONFLICT':
      return 409;
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
    case 'STORE_UNAVAILABLE':
    case 'AUDIT_UNAVAILABLE':
    case 'PROVIDER_UNAVAILABLE':
    case 'TOO_BUSY':
    case 'DRAINING':
      return 503;
    default:
      return assertNever(code);
  }
}

/** Thrown by whatever handles a request; answered as a problem, or (pages) as a page. */
export class RecoveryProblem extends Error {
  readonly code: RecoveryProblemCode;
  readonly headers: Readonly<Record<string, string>>;
  /** More members of the problem. */
  readonly more: Readonly<Record<string, string | number>>;

  /** `detail`: what is wrong and what to do; it goes to the person. Never a key. */
  constructor(
    code: RecoveryProblemCode,
    detail: string,
    options: {
      readonly headers?: Readonly<Record<string, string>>;
      readonly more?: Readonly<Record<string, string | number>>;
      readonly cause?: unknown;
    } = {},
  ) {
    super(detail, { cause: options.cause });
    this.name = 'RecoveryProblem';
    this.code = code;
    this.headers = options.headers ?? {};
    this.more = options.more ?? {};
  }

  get status(): number {
    return recoveryProblemStatus(this.code);
  }

  /** The members of RFC 9457, and the code. */
  get body(): Readonly<Record<string, string | number>> {
    return {
      type: `urn:mpe:problem:${this.code.toLowerCase().replaceAll('_', '-')}`,
      title: RECOVERY_PROBLEMS[this.code],
      status: this.status,
      detail: this.message,
      code: this.code,
      ...this.more,
    };
  }
}
