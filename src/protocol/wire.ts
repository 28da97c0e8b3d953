import Long from 'long';
import { MpeError } from '../ops/errors.js';
import type { mpe } from './generated/mpe.js';
import { guidFromBytes, type Guid } from './guid.js';
import type { WireEnum } from './wire-enums.js';

/** Shared steps of the codecs: 64-bit integers, times, GUID and enum fields, and the one error. */

/** An int64 as the generated module holds it: two exact halves. */
export type Int64 = mpe.v1.Envelope['sentAtUnixMs'];

/** The largest int64. */
export const MAX_INT64 = 2n ** 63n - 1n;

/** 0001-01-01T00:00:00.000Z, the lowest time that every store can hold. */
export const MIN_TIME_MS = -62_135_596_800_000;
/** 9999-12-31T23:59:59.999Z, the highest time that every store can hold. */
export const MAX_TIME_MS = 253_402_300_799_999;

/** An int64 from the wire, exact. */
export function toBigInt(value: Int64): bigint {
  return (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
}

/**
 * An int64 for the wire, exact.
 *
 * @throws MpeError INTERNAL where the value does not fit.
 */
export function toLong(value: bigint): Int64 {
  if (BigInt.asIntN(64, value) !== value) throw new MpeError('INTERNAL', 'a number does not fit an int64');
  const long = new Long(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)), false);
  // The generated types name long's CommonJS class; this is its ES module twin, the same in every way.
  // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment
  return long;
}

/**
 * Milliseconds since 1970 from the wire. A client's time decides nothing, so a mad one is cut to the
 * years 1 to 9999, which every store can hold, instead of refusing the message.
 */
export function toTimeMs(value: Int64): number {
  return Math.min(MAX_TIME_MS, Math.max(MIN_TIME_MS, value.toNumber()));
}

/** Milliseconds since 1970 for the wire; fractions are cut. */
export function timeToLong(ms: number): Int64 {
  return toLong(BigInt(Math.trunc(ms)));
}

/** Text that is UTF-8 for sure: a lone half of a surrogate pair, which Windows names can hold, becomes U+FFFD. */
export function utf8Text(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8');
}

/** The error of bytes that are not what they should be. */
export function malformed(what: string, problem: string, cause?: unknown): MpeError {
  return new MpeError('MALFORMED', `${what}: ${problem}`, cause === undefined ? {} : { cause });
}

/**
 * Runs a codec's decoding and turns whatever it throws into MALFORMED.
 *
 * @throws MpeError MALFORMED naming the message and the problem.
 */
export function decoding<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof MpeError && error.code === 'MALFORMED') throw error;
    throw malformed(what, error instanceof Error ? error.message : 'not decodable', error);
  }
}

/**
 * A required GUID field.
 *
 * @throws MpeError MALFORMED naming the field.
 */
export function guidField(bytes: Uint8Array, field: string): Guid {
  try {
    return guidFromBytes(bytes);
  } catch (error) {
    throw malformed(field, error instanceof Error ? error.message : 'not a GUID', error);
  }
}

/**
 * A required enum field whose unknown values nobody may act on.
 *
 * @throws MpeError MALFORMED naming the field and the number.
 */
export function wordField<W extends string>(wire: WireEnum<W>, number: number, field: string): W {
  const word = wire.word(number);
  if (word === undefined) {
    throw malformed(field, `${String(number)} is not a value that this release knows`);
  }
  return word;
}

/**
 * A field of an exact length.
 *
 * @throws MpeError MALFORMED naming the field.
 */
export function bytesField(bytes: Uint8Array, length: number, field: string): Uint8Array {
  if (bytes.length !== length) {
    throw malformed(field, `must have ${String(length)} bytes, has ${String(bytes.length)}`);
  }
  return bytes;
}
