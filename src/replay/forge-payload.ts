import { assertNever } from '../ops/errors.js';
import { bytesValue } from './fixture-values.js';
import type { Forge } from './fixture-schema.js';

/** One change of the signed bytes. */
type PayloadForge = NonNullable<Forge['payload']>[number];

/** Encodes a varint. */
function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    out.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  out.push(rest);
  return Buffer.from(out);
}

/** A length-delimited protobuf field. */
export function delimited(field: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
}

function readVarint(bytes: Buffer, at: number): { readonly value: bigint; readonly next: number } {
  let value = 0n;
  let shift = 0n;
  let next = at;
  for (;;) {
    const byte = bytes[next] ?? 0;
    next += 1;
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return { value, next };
    shift += 7n;
  }
}

/** Cuts well-formed top-level fields (varint and length-delimited) apart. */
function topLevelFields(bytes: Buffer): readonly { readonly field: number; readonly raw: Buffer }[] {
  const fields: { field: number; raw: Buffer }[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = readVarint(bytes, at);
    const body = readVarint(bytes, tag.next);
    const end = (tag.value & 7n) === 2n ? body.next + Number(body.value) : body.next;
    fields.push({ field: Number(tag.value >> 3n), raw: bytes.subarray(at, end) });
    at = end;
  }
  return fields;
}

/** Applies one change to the bytes of a well-formed ClientMessage. */
export function forgePayload(scope: string, payload: Uint8Array, forge: PayloadForge): Buffer {
  const bytes = Buffer.from(payload);
  if ('replace' in forge) return bytesValue(scope, forge.replace);
  if ('append' in forge) return Buffer.concat([bytes, bytesValue(scope, forge.append)]);
  if ('truncate' in forge) return bytes.subarray(0, bytes.length - forge.truncate);
  // Groups (wire types 3 and 4) of an unknown field: what a recursive skipper would follow down.
  if ('nest' in forge)
    return Buffer.concat([
      bytes,
      ...Array.from({ length: forge.nest }, () => varint(100 * 8 + 3)),
      ...Array.from({ length: forge.nest }, () => varint(100 * 8 + 4)),
    ]);
  if ('secondBody' in forge) return Buffer.concat([bytes, delimited(17, Buffer.alloc(0))]);
  if ('field' in forge) return Buffer.concat([bytes, delimited(forge.field, bytesValue(scope, forge.bytes))]);
  if ('dropField' in forge)
    return Buffer.concat(
      topLevelFields(bytes)
        .filter((f) => f.field !== forge.dropField)
        .map((f) => f.raw),
    );
  return assertNever(forge);
}
