import { describe, expect, it } from 'vitest';
import { peekKid, publicPart, sign, verify, type JwsType } from '../../src/jose/index.js';
import { headerOf, testKeys, withPart } from './keys.js';

const keys = await testKeys();
const payload = Buffer.from('the exact bytes \u0000 that were signed');
const types: JwsType[] = ['mpe-msg+jws', 'mpe-reg+jws', 'mpe-token+jws', 'mpe-site+jws', 'mpe-access+jwt'];

describe.each(types)('signing %s', (typ) => {
  it('verifies and gives back the exact bytes', async () => {
    const token = await sign(payload, keys.signing, typ);
    const verified = await verify(token, typ, publicPart(keys.signing));
    expect(verified.payload.equals(payload)).toBe(true);
    expect(verified.kid).toBe(keys.signing.kid);
  });

  it('has exactly its header and a signature of 64 bytes', async () => {
    const token = await sign(payload, keys.signing, typ);
    expect(headerOf(token)).toEqual({ alg: 'ES256', typ, kid: keys.signing.kid });
    expect(Buffer.from(token.split('.')[2]!, 'base64url')).toHaveLength(64);
  });

  it('verifies under no other typ', async () => {
    const token = await sign(payload, keys.signing, typ);
    for (const other of types.filter((t) => t !== typ)) {
      await expect(verify(token, other, keys.signing)).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
    }
  });
});

describe('verifying', () => {
  it('tells the key id without verifying', async () => {
    const token = await sign(payload, keys.signing, 'mpe-msg+jws');
    const forged = withPart(token, 2, Buffer.alloc(64, 1).toString('base64url'));
    expect(peekKid(forged, 'mpe-msg+jws')).toBe(keys.signing.kid);
    await expect(verify(forged, 'mpe-msg+jws', keys.signing)).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
  });

  it('refuses a changed payload, and a signature of another message', async () => {
    const token = await sign(payload, keys.signing, 'mpe-msg+jws');
    const other = await sign(Buffer.from('another'), keys.signing, 'mpe-msg+jws');
    for (const bad of [
      withPart(token, 1, Buffer.from('changed').toString('base64url')),
      withPart(token, 2, other.split('.')[2]!),
      withPart(token, 2, Buffer.alloc(64).toString('base64url')),
    ]) {
      await expect(verify(bad, 'mpe-msg+jws', keys.signing)).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
    }
  });

  it('names the key of a token by another key', async () => {
    const token = await sign(payload, keys.otherSigning, 'mpe-msg+jws');
    await expect(verify(token, 'mpe-msg+jws', keys.signing)).rejects.toMatchObject({
      code: 'KID_UNKNOWN',
      facts: { kid: keys.otherSigning.kid },
    });
  });

  it('refuses a key whose id is not its thumbprint: a swapped key verifies nothing', async () => {
    const token = await sign(payload, keys.signing, 'mpe-msg+jws');
    const swapped = { ...publicPart(keys.otherSigning), kid: keys.signing.kid };
    await expect(verify(token, 'mpe-msg+jws', swapped)).rejects.toMatchObject({ code: 'VALUE_INVALID' });
  });

  it('refuses a key that is for sealing', async () => {
    await expect(sign(payload, keys.ecdh, 'mpe-msg+jws')).rejects.toMatchObject({ code: 'VALUE_INVALID' });
    await expect(sign(payload, keys.rsa, 'mpe-msg+jws')).rejects.toMatchObject({ code: 'VALUE_INVALID' });
  });

  it('signs nothing where there is nothing', async () => {
    await expect(sign(Buffer.alloc(0), keys.signing, 'mpe-msg+jws')).rejects.toMatchObject({
      code: 'VALUE_INVALID',
    });
  });
});
