import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  enrolmentSecretHash,
  enrolmentSecretText,
  formatEnrolmentToken,
  parseEnrolmentToken,
} from '../../src/protocol/enrolment-token.js';
import { newGuid } from '../../src/protocol/guid.js';

const token = {
  siteGuid: newGuid(),
  rootThumbprint: createHash('sha256').update('root').digest('base64url'),
  secret: randomBytes(32),
};
const text = formatEnrolmentToken(token);

describe('enrolment token', () => {
  it('goes to text and back', () => {
    expect(text).toMatch(/^mpe1\.[0-9a-f]{32}\.[\w-]{43}\.[\w-]{43}$/);
    expect(parseEnrolmentToken(` ${text}\n`)).toEqual(token);
  });

  it.each([
    ['another version', text.replace('mpe1', 'mpe2')],
    ['a part missing', text.slice(0, text.lastIndexOf('.'))],
    ['a part more', `${text}.x`],
    ['a cut end', text.slice(0, -1)],
    ['an all-zero site', text.replace(/\.[0-9a-f]{32}\./, `.${'0'.repeat(32)}.`)],
    ['nothing', ''],
  ])('refuses %s, without repeating it', (_, bad) => {
    try {
      parseEnrolmentToken(bad);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: 'VALUE_INVALID' });
      expect(String(error)).not.toContain(token.secret.toString('base64url'));
    }
  });

  it('has one spelling: unused bits of the last character must be zero', () => {
    const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const other = last[last.indexOf(text.at(-1)!) + 1]!;
    expect(() => parseEnrolmentToken(text.slice(0, -1) + other)).toThrow(/damaged/);
  });

  it('refuses to format a secret of another length', () => {
    expect(() => formatEnrolmentToken({ ...token, secret: Buffer.alloc(31) })).toThrow(/32 bytes/);
    expect(() => formatEnrolmentToken({ ...token, rootThumbprint: 'x' })).toThrow(/mpe1/);
  });

  it('sends the secret as base64url and stores its hash', () => {
    const sent = enrolmentSecretText(token.secret);
    expect(enrolmentSecretHash(sent).equals(createHash('sha256').update(token.secret).digest())).toBe(true);
    for (const bad of ['', 'x', `${sent}=`, sent.slice(1)]) {
      expect(() => enrolmentSecretHash(bad)).toThrow(expect.objectContaining({ code: 'VALUE_INVALID' }));
    }
  });
});
