import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';
import * as other from 'jose';
import { describe, expect, it } from 'vitest';
import { generatePrivateKey, open, OpeningKeys, publicPart, seal } from '../../src/jose/index.js';
import { decryptCompact, encryptCompact, importKey } from '../../src/jose/node-jose.js';
import { b64, headerOf, withPart } from './keys.js';

/** Wraps (`mpe-dk`) are made and opened by the runtime; what node-jose made before must open, and the reverse. */
const key = await generatePrivateKey('RSA-OAEP-256');
const recipient = publicPart(key);
const keys = await OpeningKeys.from([key]);
const header = { alg: 'RSA-OAEP-256', enc: 'A256GCM', typ: 'mpe-dk', kid: key.kid } as const;

/** Data keys, long payloads, one byte. */
const PAYLOADS = [65, 1, 2600, 40_000].map((length) => randomBytes(length));

describe('a wrap', () => {
  it('made here opens with node-jose', async () => {
    for (const payload of PAYLOADS) {
      const token = await seal(payload, recipient, 'mpe-dk');
      expect(
        (await decryptCompact(token, await importKey(key), 'RSA-OAEP-256')).equals(payload),
        `${payload.length} bytes`,
      ).toBe(true);
    }
  });

  it('made by node-jose opens here', async () => {
    for (const payload of PAYLOADS) {
      const token = await encryptCompact(header, await importKey(recipient), payload);
      const opened = await open(token, 'mpe-dk', keys);
      expect(opened.kid).toBe(key.kid);
      expect(opened.payload.equals(payload), `${payload.length} bytes`).toBe(true);
    }
  });

  it('has the header and the lengths of one by node-jose, to the byte', async () => {
    const payload = randomBytes(65);
    const parts = (token: string): readonly number[] => token.split('.').map((part) => part.length);
    const own = await seal(payload, recipient, 'mpe-dk');
    const theirs = await encryptCompact(header, await importKey(recipient), payload);
    expect(own.split('.')[0]).toBe(theirs.split('.')[0]);
    expect(parts(own)).toEqual(parts(theirs));
    expect(own).not.toBe(await seal(payload, recipient, 'mpe-dk'));
  });

  it('is one of a third implementation too, and the reverse', async () => {
    const payload = randomBytes(65);
    const { plaintext, protectedHeader } = await other.compactDecrypt(
      await seal(payload, recipient, 'mpe-dk'),
      await other.importJWK({ ...key }, 'RSA-OAEP-256'),
    );
    expect(payload.equals(plaintext)).toBe(true);
    expect(protectedHeader).toEqual(header);
    const theirs = await new other.CompactEncrypt(payload)
      .setProtectedHeader(header)
      .encrypt(await other.importJWK({ ...recipient }, 'RSA-OAEP-256'));
    expect((await open(theirs, 'mpe-dk', keys)).payload.equals(payload)).toBe(true);
  });

  it.each([
    ['encrypted key', 1],
    ['initialisation vector', 2],
    ['ciphertext', 3],
    ['tag', 4],
  ])('does not open with a changed %s', async (_, index) => {
    const token = await seal('secret payload', recipient, 'mpe-dk');
    const bytes = Buffer.from(token.split('.')[index]!, 'base64url');
    bytes[bytes.length >> 1]! ^= 1;
    const error = await open(withPart(token, index, bytes.toString('base64url')), 'mpe-dk', keys).then(
      () => expect.unreachable(),
      (refused: unknown) => refused as Error & { code: string },
    );
    expect(error.code).toBe('CANNOT_OPEN');
    const text = [error.message, error.stack, (error.cause as Error).message, (error.cause as Error).stack];
    for (const secret of [key.d, key.p, 'secret payload']) expect(text.join()).not.toContain(secret);
  });

  it('does not open with a respelled header, a content key of 128 bits, a key of another length, another key', async () => {
    const token = await seal('x', recipient, 'mpe-dk');
    const encrypted = (content: Buffer): string =>
      publicEncrypt(
        {
          key: createPublicKey({ key: { ...recipient }, format: 'jwk' }),
          padding: constants.RSA_PKCS1_OAEP_PADDING,
          oaepHash: 'sha256',
        },
        content,
      ).toString('base64url');
    for (const bad of [
      withPart(token, 0, b64(`${JSON.stringify(headerOf(token))} `)),
      withPart(token, 1, encrypted(randomBytes(16))),
      withPart(token, 1, encrypted(randomBytes(32))),
      withPart(token, 1, randomBytes(256).toString('base64url')),
    ])
      await expect(open(bad, 'mpe-dk', keys)).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
    const foreign = await OpeningKeys.from([await generatePrivateKey('RSA-OAEP-256')]);
    await expect(open(token, 'mpe-dk', foreign)).rejects.toMatchObject({ code: 'KID_UNKNOWN' });
    await expect(open(token, 'mpe-env', keys)).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
  });
});
