import { createHash } from 'node:crypto';
import { MpeError } from '../ops/errors.js';
import { parseGuid, type Guid } from './guid.js';

/** What an enrolment token carries to a new client. */
export interface EnrolmentToken {
  readonly siteGuid: Guid;
  /** RFC 7638 thumbprint of the site root key, which the client pins. */
  readonly rootThumbprint: string;
  /** 32 random bytes. */
  readonly secret: Buffer;
}

const FORM = /^mpe1\.([0-9a-f]{32})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

/**
 * The text form that an operator hands out:
 * `mpe1.<site GUID, 32 hex>.<root thumbprint, base64url>.<secret, base64url>`.
 *
 * @throws MpeError VALUE_INVALID where the secret does not have 32 bytes or the thumbprint is none.
 */
export function formatEnrolmentToken(token: EnrolmentToken): string {
  if (token.secret.length !== 32) {
    throw new MpeError('VALUE_INVALID', 'the secret of an enrolment token has 32 bytes');
  }
  const text = `mpe1.${token.siteGuid.replaceAll('-', '')}.${token.rootThumbprint}.${token.secret.toString('base64url')}`;
  parseEnrolmentToken(text);
  return text;
}

/**
 * Reads an enrolment token as it was handed out; blanks around it are ignored.
 *
 * @throws MpeError VALUE_INVALID; the text never stands in the error.
 */
export function parseEnrolmentToken(text: string): EnrolmentToken {
  const match = FORM.exec(text.trim());
  if (match === null) {
    throw new MpeError(
      'VALUE_INVALID',
      'an enrolment token starts with "mpe1." and has four parts; copy it whole, as `mpe site init` or `mpe enrolment-tokens create` printed it',
    );
  }
  const [, site = '', rootThumbprint = '', secretText = ''] = match;
  const secret = Buffer.from(secretText, 'base64url');
  // The last character of 43 carries two bits too many: only one spelling is accepted.
  for (const part of [rootThumbprint, secretText]) {
    if (Buffer.from(part, 'base64url').toString('base64url') !== part) {
      throw new MpeError('VALUE_INVALID', 'the enrolment token is damaged; copy it again');
    }
  }
  return { siteGuid: parseGuid(site), rootThumbprint, secret };
}

/** The secret as RegistrationRequest.enrolment_token carries it: base64url. */
export function enrolmentSecretText(secret: Uint8Array): string {
  return Buffer.from(secret).toString('base64url');
}

/**
 * What is stored, queued and signed in place of the secret: SHA-256 of its 32 bytes.
 *
 * @param text - RegistrationRequest.enrolment_token
 * @throws MpeError VALUE_INVALID where the text is not 32 bytes of base64url.
 */
export function enrolmentSecretHash(text: string): Buffer {
  const secret = Buffer.from(text, 'base64url');
  if (secret.length !== 32 || secret.toString('base64url') !== text) {
    throw new MpeError('VALUE_INVALID', 'an enrolment secret is 32 bytes of base64url, 43 characters');
  }
  return createHash('sha256').update(secret).digest();
}
