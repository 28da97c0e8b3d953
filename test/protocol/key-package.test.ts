import { describe, expect, it } from 'vitest';
import { checkKeyPackage } from '../../src/protocol/key-package.js';

describe('key package', () => {
  it.each([1, 484, 16 * 1024])('accepts %i bytes', (length) => {
    expect(() => checkKeyPackage(Buffer.alloc(length))).not.toThrow();
  });

  it.each([
    [0, 'KEY_PACKAGE_EMPTY'],
    [16 * 1024 + 1, 'KEY_PACKAGE_TOO_LARGE'],
  ])('refuses %i bytes with %s', (length, reason) => {
    expect(() => checkKeyPackage(Buffer.alloc(length))).toThrow(
      expect.objectContaining({ code: 'VALUE_INVALID', facts: { reason } }),
    );
  });
});
