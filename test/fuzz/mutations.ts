import fc from 'fast-check';

/** One change of an input. Places are fractions, so that a shrunk input keeps its meaning. */
export type Mutation =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'set'; readonly at: number; readonly byte: number }
  | { readonly kind: 'cut'; readonly at: number; readonly length: number }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'double'; readonly at: number; readonly length: number; readonly times: number }
  | { readonly kind: 'end'; readonly at: number };

/** An input of a target: a seed that is valid, and what is done to it. */
export interface FuzzInput {
  readonly seed: number;
  readonly mutations: readonly Mutation[];
}

const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });

function mutation(words: readonly string[]): fc.Arbitrary<Mutation> {
  const word = fc.constantFrom(...words).map((text) => new Uint8Array(Buffer.from(text, 'latin1')));
  return fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at: place, bit: fc.nat(7) }),
    fc.record({
      kind: fc.constant('set' as const),
      at: place,
      byte: fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, 10, 13),
    }),
    fc.record({ kind: fc.constant('cut' as const), at: place, length: fc.integer({ min: 1, max: 64 }) }),
    fc.record({
      kind: fc.constant('insert' as const),
      at: place,
      bytes: fc.oneof(word, fc.uint8Array({ minLength: 1, maxLength: 32 })),
    }),
    fc.record({
      kind: fc.constant('double' as const),
      at: place,
      length: fc.integer({ min: 1, max: 128 }),
      times: fc.integer({ min: 1, max: 64 }),
    }),
    fc.record({ kind: fc.constant('end' as const), at: place }),
  );
}

/** Inputs over `seeds` seeds; `words` are pieces that mean something to the target. */
export function inputs(seeds: number, words: readonly string[]): fc.Arbitrary<FuzzInput> {
  return fc.record({
    seed: fc.nat(seeds - 1),
    mutations: fc.array(mutation(words), { maxLength: 6 }),
  });
}

/** Carries the changes out. */
export function mutate(seed: Uint8Array, mutations: readonly Mutation[]): Buffer {
  let bytes = Buffer.from(seed);
  for (const change of mutations) {
    const at = Math.floor(change.at * (bytes.length + 1));
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    switch (change.kind) {
      case 'flip':
      case 'set': {
        const byte = bytes[at];
        if (byte === undefined) break;
        bytes = Buffer.from(bytes);
        bytes[at] = change.kind === 'flip' ? byte ^ (1 << change.bit) : change.byte;
        break;
      }
      case 'cut':
        bytes = Buffer.concat([before, after.subarray(change.length)]);
        break;
      case 'insert':
        bytes = Buffer.concat([before, change.bytes, after]);
        break;
      case 'double': {
        const piece = after.subarray(0, change.length);
        bytes = Buffer.concat([before, ...Array.from({ length: change.times }, () => piece), after]);
        break;
      }
      case 'end':
        bytes = Buffer.from(before);
        break;
    }
  }
  return bytes;
}
