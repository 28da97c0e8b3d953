import { randomBytes } from 'node:crypto';
import * as other from 'jose';
import { describe, expect, it } from 'vitest';
import {
  issueAccessToken,
  open,
  openReply,
  publicPart,
  seal,
  sealReply,
  sign,
  thumbprint,
  unwrapSecret,
  verify,
  verifyAccessToken,
  wrapSecret,
} from '../../src/jose/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import { testKeys } from './keys.js';

/** Another implementation (panva/jose) opens and verifies what ours makes, and the other way round. */
const keys = await testKeys();
const payload = Buffer.from('payload Ü');

describe.each(['RSA-OAEP-256', 'ECDH-ES+A256KW'] as const)('%s with another implementation', (alg) => {
  const privateJwk = alg === 'RSA-OAEP-256' ? keys.rsa : keys.ecdh;

  it('opens what we seal', async () => {
    const key = await other.importJWK({ ...privateJwk }, alg);
    const { plaintext, protectedHeader } = await other.compactDecrypt(
      await seal(payload, publicPart(privateJwk), 'mpe-env'),
      key,
      { keyManagementAlgorithms: [alg], contentEncryptionAlgorithms: ['A256GCM'] },
    );
    expect(payload.equals(plaintext)).toBe(true);
    expect(protectedHeader.kid).toBe(await other.calculateJwkThumbprint({ ...publicPart(privateJwk) }));
  });

  it('seals what we open', async () => {
    const key = await other.importJWK({ ...publicPart(privateJwk) }, alg);
    const token = await new other.CompactEncrypt(payload)
      .setProtectedHeader({ alg, enc: 'A256GCM', typ: 'mpe-env', kid: privateJwk.kid })
      .encrypt(key);
    expect((await open(token, 'mpe-env', keys.opening)).payload.equals(payload)).toBe(true);
  });
});

describe('ES256 with another implementation', () => {
  it('verifies what we sign', async () => {
    const key = await other.importJWK({ ...publicPart(keys.signing) }, 'ES256');
    const verified = await other.compactVerify(await sign(payload, keys.signing, 'mpe-msg+jws'), key, {
      algorithms: ['ES256'],
    });
    expect(payload.equals(verified.payload)).toBe(true);
  });

  it('signs what we verify', async () => {
    const key = await other.importJWK({ ...keys.signing }, 'ES256');
    // Often enough that an r or s with leading zeros comes up.
    for (let i = 0; i < 50; i += 1) {
      const token = await new other.CompactSign(payload)
        .setProtectedHeader({ alg: 'ES256', typ: 'mpe-msg+jws', kid: keys.signing.kid })
        .sign(key);
      expect((await verify(token, 'mpe-msg+jws', publicPart(keys.signing))).payload.equals(payload)).toBe(
        true,
      );
    }
  });

  it('verifies our site tokens as JWTs, and we its', async () => {
    const request = {
      siteGuid: newGuid(),
      clientId: newGuid(),
      epoch: 1,
      lifetimeSeconds: 60,
      nowMs: Date.now(),
    };
    const verified = await other.jwtVerify(
      await issueAccessToken(request, keys.signing),
      await other.importJWK({ ...publicPart(keys.signing) }, 'ES256'),
      { issuer: request.siteGuid, subject: request.clientId, typ: 'mpe-access+jwt' },
    );
    expect(verified.payload['epoch']).toBe(1);
    const theirs = await new other.SignJWT({ epoch: 7 })
      .setProtectedHeader({ alg: 'ES256', typ: 'mpe-access+jwt', kid: keys.signing.kid })
      .setIssuer(request.siteGuid)
      .setSubject(request.clientId)
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(await other.importJWK({ ...keys.signing }, 'ES256'));
    const context = { siteGuid: request.siteGuid, nowMs: Date.now() };
    const facts = await verifyAccessToken(theirs, [publicPart(keys.signing)], context);
    expect(facts).toMatchObject({ clientId: request.clientId, epoch: 7 });
  });
});

describe('symmetric tokens with another implementation', () => {
  const key = randomBytes(32);
  const messageId = newGuid();

  it('opens our replies, and we its', async () => {
    const { plaintext } = await other.compactDecrypt(await sealReply(payload, key, messageId), key);
    expect(payload.equals(plaintext)).toBe(true);
    const theirs = await new other.CompactEncrypt(payload)
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', typ: 'mpe-reply', kid: messageId })
      .encrypt(key);
    expect((await openReply(theirs, key, messageId)).equals(payload)).toBe(true);
  });

  it('opens what we wrap, and we what it wraps', async () => {
    const secret = { id: newGuid(), key };
    const { plaintext } = await other.compactDecrypt(await wrapSecret(payload, secret), key);
    expect(payload.equals(plaintext)).toBe(true);
    const theirs = await new other.CompactEncrypt(payload)
      .setProtectedHeader({ alg: 'A256KW', enc: 'A256GCM', typ: 'mpe-sk', kid: secret.id })
      .encrypt(key);
    expect((await unwrapSecret(theirs, secret)).equals(payload)).toBe(true);
  });
});

describe('thumbprints', () => {
  it.each(['rsa', 'ecdh', 'signing'] as const)(
    'of a key (%s) are those of another implementation',
    async (name) => {
      expect(thumbprint(keys[name])).toBe(await other.calculateJwkThumbprint({ ...publicPart(keys[name]) }));
      expect(keys[name].kid).toBe(thumbprint(keys[name]));
    },
  );
});
