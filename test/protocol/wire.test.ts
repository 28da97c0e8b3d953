import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mpe } from '../../src/protocol/generated/mpe.js';
import {
  MAX_INT64,
  MAX_TIME_MS,
  MIN_TIME_MS,
  timeToLong,
  toBigInt,
  toLong,
  toTimeMs,
  utf8Text,
} from '../../src/protocol/wire.js';
import { int64, timeMs } from './arbitraries.js';

const throughWire = (value: bigint): bigint => {
  const encoded = mpe.v1.ClientMessage.encode({ sequence: toLong(value) }).finish();
  return toBigInt(mpe.v1.ClientMessage.decode(encoded).sequence);
};

describe('64-bit integers', () => {
  it.each([0n, 1n, -1n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 9007199254740993n, MAX_INT64, -(2n ** 63n)])(
    '%d stays exact on the wire',
    (value) => {
      expect(throughWire(value)).toBe(value);
    },
  );

  it('any int64 stays exact on the wire', () => {
    fc.assert(
      fc.property(int64, (value) => {
        expect(throughWire(value)).toBe(value);
      }),
    );
  });

  it('has the bytes that protobuf documents', () => {
    const bytes = mpe.v1.ClientMessage.encode({ sequence: toLong(MAX_INT64) }).finish();
    expect(Buffer.from(bytes).toString('hex')).toBe('30ffffffffffffffff7f');
  });

  it.each([MAX_INT64 + 1n, -(2n ** 63n) - 1n])('%d is no int64', (value) => {
    expect(() => toLong(value)).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
  });
});

describe('times', () => {
  it('any time of the years 1 to 9999 stays exact', () => {
    fc.assert(
      fc.property(timeMs, (ms) => {
        expect(toTimeMs(timeToLong(ms))).toBe(ms);
      }),
    );
  });

  it('cuts a time that no store can hold', () => {
    expect(toTimeMs(toLong(MAX_INT64))).toBe(MAX_TIME_MS);
    expect(toTimeMs(toLong(-(2n ** 63n)))).toBe(MIN_TIME_MS);
    expect(new Date(MAX_TIME_MS).toISOString()).toBe('9999-12-31T23:59:59.999Z');
    expect(new Date(MIN_TIME_MS).toISOString()).toBe('0001-01-01T00:00:00.000Z');
  });

  it('cuts fractions', () => {
    expect(toTimeMs(timeToLong(1.9))).toBe(1);
  });
});

describe('texts', () => {
  it('replaces a lone half of a surrogate pair, and nothing else', () => {
    expect(utf8Text('a\ud800b')).toBe('a\ufffdb');
    expect(utf8Text('Ünï-𝒟 名前')).toBe('Ünï-𝒟 名前');
  });
});
