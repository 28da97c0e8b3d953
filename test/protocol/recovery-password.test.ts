import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MpeError } from '../../src/ops/errors.js';
import { formatRecoveryPassword, parseRecoveryPassword } from '../../src/protocol/recovery-password.js';

const read = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../fixtures/inputs/${name}`, import.meta.url), 'utf8')) as T;
const rules = read<{ cases: { in: string; valid: boolean; why: string }[] }>('g-vectors/password-rules.json');
const notations = read<{ in: string; ok: boolean; note?: string }[]>(
  'd-exports/d-09-password-notations.json',
);

const vectors = read<{ vectors: { name: string; recoveryPassword: string; recoveryKeyHex: string }[] }>(
  'g-vectors/g-01-cryptsetup-recovery-passwords.json',
);

const badGroup = (text: string): unknown => {
  try {
    parseRecoveryPassword(text);
  } catch (error) {
    expect(error).toBeInstanceOf(MpeError);
    expect((error as MpeError).code).toBe('VALUE_INVALID');
    return (error as MpeError).facts['group'];
  }
  return 'accepted';
};

describe('recovery password', () => {
  it.each(rules.cases)('published rule: "$in" is valid: $valid ($why)', ({ in: text, valid }) => {
    if (valid) expect(parseRecoveryPassword(text).canonical).toMatch(/^\d{6}(-\d{6}){7}$/);
    else expect(badGroup(text)).not.toBe('accepted');
  });

  it.each(notations)('notation $in is accepted: $ok', ({ in: text, ok }) => {
    if (ok) {
      expect(parseRecoveryPassword(text).canonical).toBe(
        '501248-225016-334730-718971-398277-707014-466906-028655',
      );
    } else {
      expect(badGroup(text)).toBe(0);
    }
  });

  it('has the 128-bit value that libbde documents for its example', () => {
    const { bytes } = parseRecoveryPassword('471207-278498-422125-177177-561902-537405-468006-693451');
    expect(bytes.toString('hex')).toBe('55a7e662e795eb3e8ac7d7be32a641f6');
  });

  it.each([
    ['720896-000000-000000-000000-000000-000000-000000-000000', 1],
    ['000000-000001-000000-000000-000000-000000-000000-000000', 2],
    ['000011-000022-000033-000044-000055-000066-000077-999999', 8],
    // The example of the repair-bde page: divisible by 11, but two groups are above the limit.
    ['111111-222222-333333-444444-555555-666666-777777-888888', 7],
    ['123456-789012', 0],
    ['', 0],
  ])('names the first bad group of %s: %i', (text, group) => {
    expect(badGroup(text)).toBe(group);
  });

  it.each([
    ['mixed separators', '000000-000000 000000-000000-000000-000000-000000-000000'],
    ['two blanks', '000000  000000 000000 000000 000000 000000 000000 000000'],
    ['a separator in one place only', '000000-000000000000000000000000000000000000000000'],
    ['Arabic-Indic digits', '\u0660'.repeat(48)],
    ['eight groups of five', Array<string>(8).fill('00000').join('-')],
    ['nine groups', Array<string>(9).fill('000000').join('-')],
    ['a sign', '+00011-000000-000000-000000-000000-000000-000000-000000'],
    ['an exponent', '1e0011-000000-000000-000000-000000-000000-000000-000000'],
  ])('refuses %s', (_, text) => {
    expect(badGroup(text)).toBe(0);
  });

  it('never repeats the text in its error', () => {
    const text = '720896-123456-000000-000000-000000-000000-000000-000000';
    try {
      parseRecoveryPassword(text);
      expect.unreachable();
    } catch (error) {
      const { message, facts, stack } = error as MpeError;
      expect(JSON.stringify([message, facts, stack])).not.toMatch(/720896|123456/);
    }
  });

  it('accepts exactly the 65,536 values that a group can have', () => {
    const zeros = Array<string>(7).fill('000000').join('-');
    let accepted = 0;
    for (let group = 0; group <= 999_999; group += 1) {
      // Every multiple of 11, and a sample of the rest.
      if (group % 11 !== 0 && group % 97 !== 0) continue;
      try {
        const { bytes } = parseRecoveryPassword(`${String(group).padStart(6, '0')}-${zeros}`);
        if (bytes.readUInt16LE(0) * 11 === group) accepted += 1;
      } catch {
        continue;
      }
    }
    expect(accepted).toBe(65_536);
  });

  it.each(vectors.vectors)(
    'has the value of cryptsetup image $name',
    ({ recoveryPassword, recoveryKeyHex }) => {
      expect(parseRecoveryPassword(recoveryPassword).bytes.toString('hex')).toBe(recoveryKeyHex);
      expect(formatRecoveryPassword(Buffer.from(recoveryKeyHex, 'hex'))).toBe(recoveryPassword);
    },
  );

  it('goes from value to text and back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (value) => {
        const parsed = parseRecoveryPassword(formatRecoveryPassword(value));
        expect(parsed.bytes.equals(value)).toBe(true);
        expect(parseRecoveryPassword(parsed.canonical.replaceAll('-', '')).canonical).toBe(parsed.canonical);
      }),
    );
  });

  it('formats 16 bytes only', () => {
    expect(() => formatRecoveryPassword(Buffer.alloc(15))).toThrow(/16 bytes/);
  });
});
