import { createDecipheriv, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { open, openReply, sealReply } from '../../src/jose/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import { b64, headerOf, testKeys, withPart } from './keys.js';

const replyKey = randomBytes(32);
const messageId = newGuid();
const payload = Buffer.from('reply statement');

describe('a sealed reply', () => {
  it('opens with the reply key of its message', async () => {
    const token = await sealReply(payload, replyKey, messageId);
    expect((await openReply(token, replyKey, messageId)).equals(payload)).toBe(true);
  });

  it('has exactly the documented header: no thumbprint of the key, no wrapped key', async () => {
    const token = await sealReply(payload, replyKey, messageId);
    expect(Buffer.from(token.split('.')[0]!, 'base64url').toString()).toBe(
      `{"alg":"dir","enc":"A256GCM","typ":"mpe-reply","kid":"${messageId}"}`,
    );
    expect(token.split('.')[1]).toBe('');
  });

  it('is A256GCM over the encoded header, as anybody can open it', async () => {
    const token = await sealReply(payload, replyKey, messageId);
    const [header, , iv, ciphertext, tag] = token.split('.') as [string, string, string, string, string];
    const decipher = createDecipheriv('aes-256-gcm', replyKey, Buffer.from(iv, 'base64url'));
    decipher.setAAD(Buffer.from(header, 'ascii')).setAuthTag(Buffer.from(tag, 'base64url'));
    const opened = Buffer.concat([decipher.update(Buffer.from(ciphertext, 'base64url')), decipher.final()]);
    expect(opened.equals(payload)).toBe(true);
  });

  it('is refused for another message, under another key, and changed', async () => {
    const token = await sealReply(payload, replyKey, messageId);
    const other = newGuid();
    const renamed = withPart(token, 0, b64({ ...headerOf(token), kid: other }));
    const attempts: [string, Buffer, typeof messageId][] = [
      [token, replyKey, other],
      [renamed, replyKey, other],
      [token, randomBytes(32), messageId],
      [withPart(token, 3, randomBytes(15).toString('base64url')), replyKey, messageId],
      [withPart(token, 0, b64({ ...headerOf(token), alg: 'A256KW' })), replyKey, messageId],
      ['', replyKey, messageId],
    ];
    for (const [bad, key, id] of attempts) {
      await expect(openReply(bad, key, id)).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
    }
  });

  it('takes a key of 32 bytes and a payload', async () => {
    const short = expect.objectContaining({ code: 'VALUE_INVALID' });
    await expect(sealReply(payload, randomBytes(16), messageId)).rejects.toEqual(short);
    await expect(openReply('x', randomBytes(33), messageId)).rejects.toEqual(short);
    await expect(sealReply(Buffer.alloc(0), replyKey, messageId)).rejects.toEqual(short);
  });

  it('is nothing that a worker opens', async () => {
    const { opening } = await testKeys();
    const token = await sealReply(payload, replyKey, messageId);
    await expect(open(token, 'mpe-env', opening)).rejects.toMatchObject({ code: 'CANNOT_OPEN' });
  });
});
