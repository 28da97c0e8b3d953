import { MpeError } from '../ops/errors.js';

/**
 * The numerical recovery password: 8 groups of 6 digits, each divisible by 11 and at most 720885
 * (65535 x 11); group / 11 is a 16-bit number, and the eight of them, little-endian in group order,
 * are the 128-bit value.
 *
 * Sources: Win32_EncryptableVolume.ProtectKeyWithNumericalPassword (format, divisibility, limit);
 * libbde, "BitLocker Drive Encryption (BDE) format", and libbde_recovery.c (byte order); dislocker
 * (refuses a group that breaks the rule, where libbde's own checker lets it pass). The check digit
 * that the Windows page prints has a wrong sign; divisibility by 11 holds for exactly the 65,536
 * valid groups, so no other checksum is tested.
 */

/** A recovery password in canonical text and as its value. */
export interface RecoveryPassword {
  /** 8 groups of 6 digits joined by "-", 55 characters. */
  readonly canonical: string;
  /** 16 bytes: each group / 11 as 16 bits little-endian, in group order. */
  readonly bytes: Buffer;
}

const GROUPS = 8;
const MAX_GROUP = 65535 * 11;
// One separator for the whole text: mixed separators come from damaged text, not from any tool.
// [0-9] on purpose: full-width digits are no digits here.
const FORM = /^[0-9]{6}(?:(?:-[0-9]{6}){7}|(?: [0-9]{6}){7}|[0-9]{42})$/;

/**
 * Reads a recovery password as people and tools write it: groups separated by "-", by one blank, or
 * not at all; blanks and line ends around it are ignored.
 *
 * @throws MpeError VALUE_INVALID; `facts.group` is the wrong group, 1 to 8, or 0 where the text does
 * not have the form. The text never stands in the error.
 */
export function parseRecoveryPassword(text: string): RecoveryPassword {
  const trimmed = text.trim();
  if (!FORM.test(trimmed)) {
    throw new MpeError(
      'VALUE_INVALID',
      'a recovery password has 8 groups of 6 digits, separated by "-", by a blank or not at all',
      { facts: { group: 0, reason: 'RECOVERY_PASSWORD_INVALID' } },
    );
  }
  const digits = trimmed.replaceAll(/[- ]/g, '');
  const bytes = Buffer.alloc(2 * GROUPS);
  const groups: string[] = [];
  for (let group = 0; group < GROUPS; group++) {
    const sixDigits = digits.slice(6 * group, 6 * group + 6);
    const value = Number(sixDigits);
    if (value % 11 !== 0 || value > MAX_GROUP) {
      throw new MpeError(
        'VALUE_INVALID',
        `group ${String(group + 1)} of the recovery password is ${
          value > MAX_GROUP ? 'above 720885' : 'not divisible by 11'
        }`,
        { facts: { group: group + 1, reason: 'RECOVERY_PASSWORD_INVALID' } },
      );
    }
    bytes.writeUInt16LE(value / 11, 2 * group);
    groups.push(sixDigits);
  }
  return { canonical: groups.join('-'), bytes };
}

/**
 * The canonical text of a 128-bit value.
 *
 * @param bytes - 16 bytes as in {@link RecoveryPassword.bytes}
 * @throws MpeError VALUE_INVALID where there are not 16 bytes.
 */
export function formatRecoveryPassword(bytes: Uint8Array): string {
  if (bytes.length !== 2 * GROUPS) {
    throw new MpeError('VALUE_INVALID', 'the value of a recovery password has 16 bytes');
  }
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: GROUPS }, (_, group) =>
    String(view.readUInt16LE(2 * group) * 11).padStart(6, '0'),
  ).join('-');
}
