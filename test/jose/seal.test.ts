import {
  constants,
  createPrivateKey,
  createPublicKey,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { generatePrivateKey, open, OpeningKeys, publicPart, seal, thumbprint } from '../../src/jose/index.js';
import { b64, headerOf, testKeys, withPart } from './keys.js';

const keys = await testKeys();
const algs = ['RSA-OAEP-256', 'ECDH-ES+A256KW'] as const;

/** Another byte at one place of a part, still strict base64url. */
function flip(token: string, index: number): string {
  const bytes = Buffer.from(token.split('.')[index]!, 'base64url');
  bytes[bytes.length >> 1]! ^= 1;
  return withPart(token, index, bytes.toString('base64url'));
}

describe.each(algs)('sealing with %s', (alg) => {
  const recipient = keys.sealingTo[alg];

  it('opens again with the key that kid names', async () => {
    const payload = randomBytes(10_000);
    const token = await seal(payload, recipient, 'mpe-env');
    const opened = await open(token, 'mpe-env', keys.opening);
    expect(opened.kid).toBe(recipient.kid);
    expect(opened.payload.equals(payload)).toBe(true);
  });

  it('takes text as UTF-8', async () => {
    const token = await seal('Schlüssel', recipient, 'mpe-env');
    expect((await open(token, 'mpe-env', keys.opening)).payload.toString('utf8')).toBe('Schlüssel');
  });

  it('has exactly its header', async () => {
    const header = headerOf(await seal('x', recipient, 'mpe-env'));
    const { epk, ...rest } = header;
    expect(rest).toEqual({ alg, enc: 'A256GCM', typ: 'mpe-env', kid: thumbprint(recipient) });
    if (alg === 'RSA-OAEP-256') expect(epk).toBeUndefined();
    else expect(Object.keys(epk as object).sort()).toEqual(['crv', 'kty', 'x', 'y']);
  });

  it('gives another token each time', async () => {
    expect(await seal('x', recipient, 'mpe-env')).not.toBe(await seal('x', recipient, 'mpe-env'));
  });

  it.each([
    ['encrypted key', 1],
    ['initialisation vector', 2],
    ['ciphertext', 3],
    ['tag', 4],
  ])('does not open with a changed %s', async (_, index) => {
    const token = await seal('secret payload', recipient, 'mpe-env');
    await expect(open(flip(token, index), 'mpe-env', keys.opening)).rejects.toMatchObject({
      code: 'CANNOT_OPEN',
      message: expect.stringContaining(recipient.kid) as string,
    });
  });

  it('does not open with a respelled header, which the tag covers', async () => {
    const token = await seal('x', recipient, 'mpe-env');
    const respelled = withPart(token, 0, b64(`${JSON.stringify(headerOf(token))} `));
    await expect(open(respelled, 'mpe-env', keys.opening)).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
  });

  it('names an unknown key, and tries no other', async () => {
    const other = await OpeningKeys.from([await generatePrivateKey('ECDH-ES+A256KW')]);
    const token = await seal('x', recipient, 'mpe-env');
    await expect(open(token, 'mpe-env', other)).rejects.toMatchObject({
      code: 'KID_UNKNOWN',
      facts: { kid: recipient.kid },
    });
  });
});

describe('opening', () => {
  it('refuses a key for one alg in a token that says another', async () => {
    const token = await seal('x', keys.sealingTo['RSA-OAEP-256'], 'mpe-env');
    const renamed = withPart(token, 0, b64({ ...headerOf(token), kid: keys.ecdh.kid }));
    await expect(open(renamed, 'mpe-env', keys.opening)).rejects.toMatchObject({
      code: 'CANNOT_OPEN',
      message: expect.stringContaining('is for ECDH-ES+A256KW') as string,
    });
  });

  it('refuses an encrypted key of another length than the modulus', async () => {
    const token = await seal('x', keys.sealingTo['RSA-OAEP-256'], 'mpe-env');
    const longer = withPart(token, 1, randomBytes(384).toString('base64url'));
    await expect(open(longer, 'mpe-env', keys.opening)).rejects.toMatchObject({
      code: 'CANNOT_OPEN',
      message: expect.stringContaining('length') as string,
    });
  });

  it('refuses a content key of 128 bits in a token that says A256GCM', async () => {
    const key = createPublicKey({ key: { ...keys.sealingTo['RSA-OAEP-256'] }, format: 'jwk' });
    const short = publicEncrypt(
      { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
      randomBytes(16),
    );
    const token = withPart(
      await seal('x', keys.sealingTo['RSA-OAEP-256'], 'mpe-env'),
      1,
      short.toString('base64url'),
    );
    await expect(open(token, 'mpe-env', keys.opening)).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
  });

  it('knows what it holds', async () => {
    expect(keys.opening.has(keys.rsa.kid)).toBe(true);
    expect(keys.opening.has(keys.signing.kid)).toBe(false);
    expect(keys.opening.kids().sort()).toEqual([keys.rsa.kid, keys.ecdh.kid].sort());
    expect((await OpeningKeys.from([])).kids()).toEqual([]);
  });

  it('puts no key material into its errors', async () => {
    const token = flip(await seal('secret payload', keys.sealingTo['RSA-OAEP-256'], 'mpe-env'), 1);
    const error = await open(token, 'mpe-env', keys.opening).then(
      () => expect.unreachable(),
      (refused: unknown) => refused as Error,
    );
    const { message, stack, cause } = error;
    const text = [message, stack, (cause as Error).message, (cause as Error).stack].join();
    for (const member of [keys.rsa.d, keys.rsa.p, keys.rsa.q]) expect(text).not.toContain(member);
    expect(text).not.toContain('secret payload');
  });
});

describe('keys', () => {
  it.each([
    ['for signing', async () => [await generatePrivateKey('ES256')]],
    ['with a foreign kid', () => [{ ...keys.rsa, kid: keys.ecdh.kid }]],
    ['off the curve', () => [{ ...keys.ecdh, y: keys.ecdh.x! }]],
    ['with a short modulus', () => [{ ...keys.rsa, n: keys.rsa.n!.slice(0, 100) }]],
    ['with exponent 3', () => [{ ...keys.rsa, e: 'Aw' }]],
    ['of the wrong kind', () => [{ ...keys.ecdh, alg: 'RSA-OAEP-256' as const }]],
  ])('are refused %s', async (_, make) => {
    await expect(OpeningKeys.from(await make())).rejects.toMatchObject({ code: 'VALUE_INVALID' });
  });

  it('are not sealed to when they are for signing, nor data keys to ECDH', async () => {
    await expect(seal('x', publicPart(keys.signing), 'mpe-env')).rejects.toMatchObject({
      code: 'VALUE_INVALID',
    });
    await expect(seal('x', keys.sealingTo['ECDH-ES+A256KW'], 'mpe-dk')).rejects.toMatchObject({
      code: 'VALUE_INVALID',
    });
    await expect(seal('', keys.sealingTo['RSA-OAEP-256'], 'mpe-dk')).rejects.toMatchObject({
      code: 'VALUE_INVALID',
    });
  });

  it('have the thumbprint of the RFC 7638 example', () => {
    expect(
      thumbprint({
        kty: 'RSA',
        n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
        e: 'AQAB',
      }),
    ).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
  });

  it('are made with the size that was asked for, and no other', async () => {
    const key = await generatePrivateKey('RSA-OAEP-256');
    expect(Buffer.from(key.n!, 'base64url')).toHaveLength(384);
    await expect(generatePrivateKey('RSA-OAEP-256', 1024)).rejects.toMatchObject({ code: 'VALUE_INVALID' });
  });

  it('have a public part without private members', () => {
    expect(Object.keys(publicPart(keys.rsa)).sort()).toEqual(['alg', 'e', 'kid', 'kty', 'n']);
    expect(Object.keys(publicPart(keys.ecdh)).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'x', 'y']);
  });
});

describe('RSA-OAEP-256', () => {
  it('uses SHA-256 for hash and mask, as node:crypto does', async () => {
    const token = await seal('x', keys.sealingTo['RSA-OAEP-256'], 'mpe-env');
    const contentKey = privateDecrypt(
      {
        key: createPrivateKey({ key: { ...keys.rsa }, format: 'jwk' }),
        padding: constants.RSA_PKCS1_OAEP_PADDING,
        oaepHash: 'sha256',
      },
      Buffer.from(token.split('.')[1]!, 'base64url'),
    );
    expect(contentKey).toHaveLength(32);
  });
});
