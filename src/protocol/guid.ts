import { randomUUID } from 'node:crypto';
import { MpeError } from '../ops/errors.js';

/**
 * A GUID in its one canonical form: 36 characters, lower case, hyphens, no braces.
 * Compared as text, which equals comparing the 128 bits.
 */
export type Guid = string & { readonly __brand: 'Guid' };

/** The all-zero GUID: never a valid identity, used where a fixed-width field has no value. */
export const NIL_GUID = '00000000-0000-0000-0000-000000000000' as Guid;

const FORM =
  /^(?:urn:uuid:)?(\{)?([0-9a-f]{8})(-?)([0-9a-f]{4})\3([0-9a-f]{4})\3([0-9a-f]{4})\3([0-9a-f]{12})(\})?$/;

/**
 * Reads a GUID as people write it: any case, braces or none, hyphens or none (32 hex digits in
 * reading order), `urn:uuid:`.
 *
 * @throws MpeError VALUE_INVALID naming what is wrong. The all-zero GUID is refused.
 */
export function parseGuid(text: string): Guid {
  const match = FORM.exec(text.trim().toLowerCase());
  if (match === null || (match[1] === undefined) !== (match[8] === undefined)) {
    throw new MpeError(
      'VALUE_INVALID',
      'a GUID has 32 hex digits, e.g. 8637036e-b379-4798-bd9e-5a0b36296de3',
    );
  }
  const guid = `${match[2]}-${match[4]}-${match[5]}-${match[6]}-${match[7]}` as Guid;
  if (guid === NIL_GUID) throw new MpeError('VALUE_INVALID', 'the all-zero GUID names nothing');
  return guid;
}

/** The 16 bytes in network order (RFC 9562 section 4), as on the wire. */
export function guidToBytes(guid: Guid): Buffer {
  return Buffer.from(guid.replaceAll('-', ''), 'hex');
}

/**
 * Reads 16 bytes in network order.
 *
 * @throws MpeError VALUE_INVALID where there are not 16 bytes, or all are zero.
 */
export function guidFromBytes(bytes: Uint8Array): Guid {
  if (bytes.length !== 16) {
    throw new MpeError('VALUE_INVALID', `a GUID on the wire has 16 bytes, this has ${String(bytes.length)}`);
  }
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString('hex');
  return parseGuid(hex);
}

/** A new random GUID (version 4). */
export function newGuid(): Guid {
  return randomUUID() as Guid;
}
