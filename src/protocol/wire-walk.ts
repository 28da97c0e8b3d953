import protobuf from 'protobufjs/minimal.js';

/** One field as it stands on the wire. */
export interface WireField {
  readonly number: number;
  readonly wireType: number;
  /** Offset of the tag. */
  readonly start: number;
  /** Offset behind the value. */
  readonly end: number;
}

/** What {@link walkFields} saw. */
export interface WireWalk {
  readonly fields: readonly WireField[];
  /** Why the walk stopped before the end; absent where it did not. */
  readonly broken?: string;
}

/**
 * Walks the top-level fields of an encoded message without decoding it, and never throws: a decoder
 * folds repeated fields together (the last one wins), so only the wire shows that there were two.
 *
 * @param bytes - an encoded protobuf message
 */
export function walkFields(bytes: Uint8Array): WireWalk {
  const fields: WireField[] = [];
  try {
    const reader = protobuf.Reader.create(bytes);
    while (reader.pos < reader.len) {
      const start = reader.pos;
      const tag = reader.tag();
      reader.skipType(tag & 7, 0, tag >>> 3);
      fields.push({ number: tag >>> 3, wireType: tag & 7, start, end: reader.pos });
    }
    return { fields };
  } catch (error) {
    return { fields, broken: error instanceof Error ? error.message : 'not protobuf' };
  }
}
