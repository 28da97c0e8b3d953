import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { isOnP256 } from '../../src/jose/index.js';

const prime = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const bytes = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(64, '0'), 'hex');
// The generator of SEC 2, secp256r1.
const gx = Buffer.from('6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296', 'hex');
const gy = Buffer.from('4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5', 'hex');

describe('a point of P-256', () => {
  it('is the generator, and its negative', () => {
    expect(isOnP256(gx, gy)).toBe(true);
    expect(isOnP256(gx, bytes(prime - BigInt(`0x${gy.toString('hex')}`)))).toBe(true);
  });

  it('is every public key that node:crypto makes', () => {
    for (let i = 0; i < 50; i += 1) {
      const { x, y } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
      expect(isOnP256(Buffer.from(x!, 'base64url'), Buffer.from(y!, 'base64url'))).toBe(true);
    }
  });

  it('is no key of another curve, and nothing with a bit changed', () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey.export({ format: 'jwk' });
    expect(isOnP256(Buffer.from(other.x!, 'base64url'), Buffer.from(other.y!, 'base64url'))).toBe(false);
    for (let bit = 0; bit < 256; bit += 1) {
      const changed = Buffer.from(gy);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(isOnP256(gx, changed)).toBe(false);
    }
  });

  it('has coordinates below the prime, of 32 bytes', () => {
    // x = 5 has a point; x = 5 + p is the same point to careless arithmetic, and fits 32 bytes as well.
    const y5 = bytes(0x459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbccn);
    expect(isOnP256(bytes(5n), y5)).toBe(true);
    expect(isOnP256(bytes(5n + prime), y5)).toBe(false);
    expect(isOnP256(bytes(prime), gy)).toBe(false);
    expect(isOnP256(gx, bytes(prime))).toBe(false);
    expect(isOnP256(Buffer.concat([Buffer.alloc(1), gx]), gy)).toBe(false);
    expect(isOnP256(gx.subarray(1), gy)).toBe(false);
    expect(isOnP256(Buffer.alloc(0), Buffer.alloc(0))).toBe(false);
  });
});
