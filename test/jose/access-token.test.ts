import { describe, expect, it } from 'vitest';
import { issueAccessToken, publicPart, sign, verifyAccessToken } from '../../src/jose/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import { testKeys } from './keys.js';

const keys = await testKeys();
const trusted = [publicPart(keys.otherSigning), publicPart(keys.signing)];
const nowMs = Date.UTC(2026, 5, 1, 12);
const request = { siteGuid: newGuid(), clientId: newGuid(), epoch: 2, lifetimeSeconds: 28_800, nowMs };
const context = { siteGuid: request.siteGuid, nowMs };
const seconds = nowMs / 1000;
const claims = { iss: request.siteGuid, sub: request.clientId, epoch: 2, iat: seconds, exp: seconds + 60 };
const signedClaims = (value: unknown) =>
  sign(Buffer.from(JSON.stringify(value)), keys.signing, 'mpe-access+jwt');

describe('a site token', () => {
  it('proves client and epoch until it expires', async () => {
    const token = await issueAccessToken(request, keys.signing);
    const expiresAtMs = nowMs + 28_800_000;
    expect(await verifyAccessToken(token, trusted, context)).toEqual({
      clientId: request.clientId,
      epoch: 2,
      expiresAtMs,
    });
    await verifyAccessToken(token, trusted, { ...context, nowMs: expiresAtMs - 1 });
    await expect(verifyAccessToken(token, trusted, { ...context, nowMs: expiresAtMs })).rejects.toMatchObject(
      {
        code: 'CANNOT_OPEN',
        message: expect.stringContaining('expired') as string,
      },
    );
  });

  it.each([0, -1, 28_801, 1.5, Number.NaN])('never lives %d seconds', async (lifetimeSeconds) => {
    await expect(issueAccessToken({ ...request, lifetimeSeconds }, keys.signing)).rejects.toMatchObject({
      code: 'VALUE_INVALID',
    });
  });

  it('is refused by another site and under a key that is not trusted', async () => {
    const token = await issueAccessToken(request, keys.signing);
    for (const attempt of [
      verifyAccessToken(token, trusted, { ...context, siteGuid: newGuid() }),
      verifyAccessToken(token, [publicPart(keys.otherSigning)], context),
      verifyAccessToken(token, [], context),
    ]) {
      await expect(attempt).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
    }
  });

  it.each([
    ['a lifetime above eight hours', { ...claims, exp: seconds + 28_801 }],
    ['a start in the future', { ...claims, iat: seconds + 301, exp: seconds + 400 }],
    ['a claim more', { ...claims, admin: true }],
    ['a claim missing', { ...claims, epoch: undefined }],
    ['epoch 0', { ...claims, epoch: 0 }],
    ['a subject that is no client', { ...claims, sub: 'everybody' }],
    ['an all-zero subject', { ...claims, sub: '00000000-0000-0000-0000-000000000000' }],
    ['an expiry as text', { ...claims, exp: String(seconds + 60) }],
    ['no object', [claims]],
  ])('is refused with %s, although the signature is good', async (_, value) => {
    await expect(verifyAccessToken(await signedClaims(value), trusted, context)).rejects.toMatchObject({
      code: 'CANNOT_OPEN',
    });
  });

  it('may come from a gateway whose clock is some minutes ahead', async () => {
    const token = await signedClaims({ ...claims, iat: seconds + 299, exp: seconds + 400 });
    expect((await verifyAccessToken(token, trusted, context)).epoch).toBe(2);
  });

  it('is no other signed token of the same key', async () => {
    const message = await sign(Buffer.from(JSON.stringify(claims)), keys.signing, 'mpe-msg+jws');
    await expect(verifyAccessToken(message, trusted, context)).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
  });
});
