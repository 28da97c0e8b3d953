import { NIL_GUID, guidToBytes, parseGuid, type Guid } from '../protocol/guid.js';
import { MpeError } from '../ops/errors.js';
import { labelBytes, labelGuid, labelPassword } from './labels.js';

/**
 * How a fixture writes values. Ids come in every notation that real exports use; what cannot be told
 * apart without context (little-endian bytes) needs a prefix.
 */

/** Bytes as a fixture writes them: text with a prefix, or a length to be filled. */
export type BytesSource = string | { readonly bytes: number; readonly label?: string | undefined };

const PREFIX = /^(hex|le-hex|base64|le-base64|decimal|le-decimal|utf8):/;

/** Swaps the first three fields of a GUID, as .NET and Windows structures store them. */
function fromLittleEndian(bytes: Buffer): Buffer {
  const out = Buffer.from(bytes);
  if (bytes.length === 16) {
    out.set(Buffer.from(bytes.subarray(0, 4)).reverse(), 0);
    out.set(Buffer.from(bytes.subarray(4, 6)).reverse(), 4);
    out.set(Buffer.from(bytes.subarray(6, 8)).reverse(), 6);
  }
  return out;
}

function prefixed(text: string): Buffer | null {
  const prefix = PREFIX.exec(text)?.[1];
  if (prefix === undefined) return null;
  const rest = text.slice(prefix.length + 1);
  const kind = prefix.replace('le-', '');
  let bytes: Buffer;
  if (kind === 'hex') {
    const hex = rest
      .replace(/^(0x|X')/i, '')
      .replace(/'$/, '')
      .replaceAll(/[\s\\]/g, '');
    if (!/^([0-9a-f]{2})*$/i.test(hex))
      throw new MpeError('FIXTURE_INVALID', `"${prefix}:" needs pairs of hex digits`);
    bytes = Buffer.from(hex, 'hex');
  } else if (kind === 'base64') bytes = Buffer.from(rest, 'base64');
  else if (kind === 'decimal') bytes = Buffer.from(rest.trim().split(/\s+/).map(Number));
  else bytes = Buffer.from(rest, 'utf8');
  return prefix.startsWith('le-') ? fromLittleEndian(bytes) : bytes;
}

/**
 * A GUID: `@label`, any notation {@link parseGuid} takes, or `le-hex:`, `le-base64:`, `le-decimal:`.
 *
 * @throws MpeError FIXTURE_INVALID
 */
export function guidValue(scope: string, text: string): Guid {
  if (text.startsWith('@')) return labelGuid(scope, text.slice(1));
  if (text === 'nil') return NIL_GUID;
  const bytes = prefixed(text);
  try {
    return parseGuid(bytes === null ? text : bytes.toString('hex'));
  } catch (error) {
    throw new MpeError('FIXTURE_INVALID', `"${text}" is no GUID: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** The bytes of an id as a client puts them on the wire: a GUID, or raw `hex:` bytes of any length. */
export function idBytes(scope: string, text: string): Buffer {
  if (text.startsWith('hex:')) return prefixed(text) ?? Buffer.alloc(0);
  return guidToBytes(guidValue(scope, text));
}

/** Bytes: `@label` of `defaultLength`, `hex:`, `base64:`, `utf8:`, or `{bytes, label}`. */
export function bytesValue(scope: string, source: BytesSource, defaultLength = 20): Buffer {
  if (typeof source !== 'string') return labelBytes(scope, source.label ?? 'bytes', source.bytes);
  if (source.startsWith('@')) return labelBytes(scope, source.slice(1), defaultLength);
  const bytes = prefixed(source);
  if (bytes !== null) return bytes;
  throw new MpeError('FIXTURE_INVALID', `bytes are written "@label", "hex:…", "base64:…" or {"bytes": 9000}`);
}

/** A recovery password: `@label` gives a valid one, anything else is taken as it stands. */
export function passwordValue(scope: string, text: string): string {
  return text.startsWith('@') ? labelPassword(scope, text.slice(1)) : text;
}
