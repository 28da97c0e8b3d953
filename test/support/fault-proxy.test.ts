import { expect, test } from 'vitest';
import { TDS, TdsFramer } from './fault-proxy.js';

function packet(type: number, isLast: boolean, body: string): Buffer {
  const header = Buffer.from([type, isLast ? 1 : 0, 0, 8 + body.length, 0, 0, 1, 0]);
  return Buffer.concat([header, Buffer.from(body)]);
}

test('messages start and end at the same places however the stream is cut', () => {
  const stream = Buffer.concat([
    packet(TDS.batch, true, 'SELECT'),
    packet(TDS.rpc, false, 'first'),
    packet(TDS.rpc, true, 'second'),
    packet(TDS.transaction, true, ''),
  ]);
  for (let size = 1; size <= stream.length; size += 1) {
    const framer = new TdsFramer();
    const starts: number[] = [];
    const ends: number[] = [];
    const bytes: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size) {
      for (const piece of framer.split(stream.subarray(at, at + size))) {
        if (piece.starts !== null) starts.push(piece.starts);
        if (piece.ends !== null) ends.push(piece.ends);
        bytes.push(piece.bytes);
      }
    }
    expect(starts).toEqual([TDS.batch, TDS.rpc, TDS.transaction]);
    expect(ends).toEqual([TDS.batch, TDS.rpc, TDS.transaction]);
    expect(Buffer.concat(bytes).equals(stream)).toBe(true);
  }
});
