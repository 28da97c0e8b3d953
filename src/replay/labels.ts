import { createECDH, createHash } from 'node:crypto';
import type { Guid } from '../protocol/guid.js';
import type { PrivateJwk } from '../protocol/jwk.js';

/**
 * Fixed values from labels. A fixture may write `@os` in place of a GUID, a recovery password or
 * bytes: the value is SHA-256 of what it is for, the case's name and the label, so that cases never
 * share an identity by accident and every build makes the same values. docs/fixtures.md gives the
 * exact rule.
 */
function digest(purpose: string, scope: string, label: string, block = 0): Buffer {
  return createHash('sha256')
    .update(['mpe fixture', purpose, scope, label, String(block)].join('\0'), 'utf8')
    .digest();
}

/** A GUID (version 8, RFC 9562) for `@label` of a case. */
export function labelGuid(scope: string, label: string): Guid {
  const bytes = digest('guid', scope, label).subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [8, 12, 16, 20, 32].map((end, i) => hex.slice([0, 8, 12, 16, 20][i], end)).join('-') as Guid;
}

/** A valid recovery password for `@label` of a case: eight 16-bit values, each times 11. */
export function labelPassword(scope: string, label: string): string {
  const bytes = digest('password', scope, label);
  return Array.from({ length: 8 }, (_, i) => String(bytes.readUInt16LE(2 * i) * 11).padStart(6, '0')).join(
    '-',
  );
}

/** `length` bytes for `@label` of a case. */
export function labelBytes(scope: string, label: string, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) => digest('bytes', scope, label, i));
  return Buffer.concat(blocks).subarray(0, length);
}

/** The ES256 signing key of a client; a test key that anybody can compute. */
export function labelSigningKey(
  scope: string,
  label: string,
  thumbprint: (jwk: PrivateJwk) => string,
): PrivateJwk {
  const scalar = digest('signing key', scope, label);
  // Below the order of P-256 with certainty, and never zero.
  scalar[0] = (scalar[0] ?? 0) & 0x7f;
  const curve = createECDH('prime256v1');
  curve.setPrivateKey(scalar);
  const point = curve.getPublicKey();
  const key: PrivateJwk = {
    kty: 'EC',
    crv: 'P-256',
    alg: 'ES256',
    kid: '',
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
    d: scalar.toString('base64url'),
  };
  return { ...key, kid: thumbprint(key) };
}
