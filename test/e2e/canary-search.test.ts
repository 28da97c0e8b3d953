import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { formatRecoveryPassword, parseRecoveryPassword } from '../../src/protocol/recovery-password.js';
import { searchIn, spellingsOfPassword } from '../support/canary.js';

// 16-bit values below 65536 are exactly the groups that the rule allows.
const password = formatRecoveryPassword(randomBytes(16));
const { bytes } = parseRecoveryPassword(password);
const spellings = spellingsOfPassword(password);
const find = (content: Buffer | string): number =>
  searchIn(new Map([['here', Buffer.from(content)]]), spellings).length;

describe('the search for a canary password', () => {
  it.each([
    ['as text', `{"x":"${password}"}`],
    ['without hyphens', `a ${password.replaceAll('-', '')} b`],
    ['with spaces', password.replaceAll('-', ' ')],
    ['as UTF-16', Buffer.from(`pre ${password}`, 'utf16le')],
    ['as hex', Buffer.from(password).toString('hex')],
    ['as its 16 bytes', Buffer.concat([randomBytes(7), bytes, randomBytes(9)])],
    [
      'as its 16 bytes, base64url, inside something longer',
      Buffer.concat([randomBytes(4), bytes, randomBytes(3)]).toString('base64url'),
    ],
    ...[0, 1, 2, 3].map((n): [string, string] => [
      `inside base64, ${n} bytes before it`,
      Buffer.from(`${'x'.repeat(n)}${password}tail`).toString('base64'),
    ]),
  ])('finds it %s', (_, content) => {
    expect(find(content)).toBeGreaterThan(0);
  });

  it('does not find another password', () => {
    const other = formatRecoveryPassword(randomBytes(16));
    expect(find(`${other} ${other.replaceAll('-', '')}`)).toBe(0);
  });
});
