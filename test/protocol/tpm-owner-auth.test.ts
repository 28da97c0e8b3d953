import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { checkTpmOwnerAuth } from '../../src/protocol/tpm-owner-auth.js';

describe('TPM owner authorization', () => {
  it('accepts the documented hash of a pass phrase: SHA-1 of UTF-16LE without a null', () => {
    const hash = createHash('sha1').update(Buffer.from('1Sample', 'utf16le')).digest();
    expect(hash.toString('base64')).toBe('1euIs20Or/60b0ehnTqoX4cMis8=');
    expect(() => checkTpmOwnerAuth(hash)).not.toThrow();
  });

  it.each([0, 19, 21, 28, 32])('refuses %i bytes', (length) => {
    expect(() => checkTpmOwnerAuth(Buffer.alloc(length, 1))).toThrow(
      expect.objectContaining({ code: 'VALUE_INVALID', facts: { reason: 'TPM_OWNER_AUTH_INVALID' } }),
    );
  });
});
