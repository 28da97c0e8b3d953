import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { unwrapSecret, wrapSecret } from '../../src/jose/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import { headerOf, withPart } from './keys.js';

const secret = { id: newGuid(), key: randomBytes(32) };
const payload = Buffer.from(JSON.stringify({ kty: 'RSA', d: 'private' }));

describe('a wrapped secret', () => {
  it('opens with the secret that its kid names', async () => {
    const token = await wrapSecret(payload, secret);
    expect(headerOf(token)).toEqual({ alg: 'A256KW', enc: 'A256GCM', typ: 'mpe-sk', kid: secret.id });
    expect((await unwrapSecret(token, secret)).equals(payload)).toBe(true);
  });

  it('names the secret that is missing', async () => {
    const token = await wrapSecret(payload, secret);
    await expect(unwrapSecret(token, { id: newGuid(), key: secret.key })).rejects.toMatchObject({
      code: 'KID_UNKNOWN',
      facts: { kid: secret.id },
    });
  });

  it('does not open with another key or changed', async () => {
    const token = await wrapSecret(payload, secret);
    for (const [bad, with_] of [
      [token, { id: secret.id, key: randomBytes(32) }],
      [withPart(token, 1, randomBytes(40).toString('base64url')), secret],
      [withPart(token, 3, randomBytes(payload.length).toString('base64url')), secret],
    ] as const) {
      await expect(unwrapSecret(bad, with_)).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
    }
  });

  it('takes 32 bytes with an id that can stand in a log', async () => {
    const invalid = { code: 'VALUE_INVALID' };
    await expect(wrapSecret(payload, { id: 'x', key: randomBytes(16) })).rejects.toMatchObject(invalid);
    await expect(wrapSecret(payload, { id: 'a b', key: secret.key })).rejects.toMatchObject(invalid);
    await expect(wrapSecret(payload, { id: '', key: secret.key })).rejects.toMatchObject(invalid);
    await expect(wrapSecret(Buffer.alloc(0), secret)).rejects.toMatchObject(invalid);
  });
});
