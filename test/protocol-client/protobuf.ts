/** Protobuf by hand: as much of the encoding as docs/protocol.md needs. No schema, no library. */

/** A field that was read: number and value (varint as bigint, length-delimited as bytes). */
export interface Field {
  readonly number: number;
  readonly value: bigint | Buffer;
}

/** A base-128 varint. Negative int64 values take ten bytes. */
export function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Buffer.from(bytes);
}

/** A varint field. Zero is left out, as proto3 does. */
export function int(number: number, value: bigint | number): Buffer {
  if (BigInt(value) === 0n) return Buffer.alloc(0);
  return Buffer.concat([varint(BigInt(number) << 3n), varint(BigInt(value))]);
}

/** A length-delimited field: bytes, text or a message. */
export function bytes(number: number, value: Buffer | string): Buffer {
  const body = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
  return Buffer.concat([varint((BigInt(number) << 3n) | 2n), varint(BigInt(body.length)), body]);
}

/** All fields of a message, in the order of the wire. */
export function read(message: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const next = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) throw new Error('a varint is cut');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = next();
    const number = Number(tag >> 3n);
    if ((tag & 7n) === 0n) fields.push({ number, value: next() });
    else if ((tag & 7n) === 2n) {
      const length = Number(next());
      fields.push({ number, value: message.subarray(at, at + length) });
      at += length;
    } else throw new Error(`wire type ${String(tag & 7n)} is not used by mpe`);
  }
  return fields;
}

/** The last varint of a field, 0 where absent. */
export function intOf(fields: readonly Field[], number: number): bigint {
  const value = fields.findLast((field) => field.number === number)?.value;
  return typeof value === 'bigint' ? value : 0n;
}

/** The last bytes of a field, empty where absent. */
export function bytesOf(fields: readonly Field[], number: number): Buffer {
  const value = fields.findLast((field) => field.number === number)?.value;
  return Buffer.isBuffer(value) ? value : Buffer.alloc(0);
}

/** Every message of a repeated field. */
export function messagesOf(fields: readonly Field[], number: number): Field[][] {
  return fields
    .filter((field) => field.number === number)
    .map((field) => (Buffer.isBuffer(field.value) ? read(field.value) : []));
}
