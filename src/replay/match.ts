/**
 * Compares what came with what a fixture expects. An expectation is exact, except where it holds a
 * matcher:
 *
 *  * `"$any"` any value, also none
 *  * `"$present"` any value, but some
 *  * `{"$oneOf": [a, b]}` one of several, each of which may hold matchers
 *  * `{"$atLeast": "5"}` a whole number of at least that
 *  * `{"$unordered": [a, b]}` a list in any order
 */

/** One place where it differs. */
export interface Mismatch {
  /** e.g. `reply.volumes[0].keys[1].status`. */
  readonly path: string;
  /** As JSON, `(absent)` where there is nothing. */
  readonly expected: string;
  readonly got: string;
}

type Json = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A value as a person reads it in one line. */
export function shown(value: unknown): string {
  if (value === undefined) return '(absent)';
  if (typeof value === 'string' && /^[\w:@./ -]+$/.test(value)) return value;
  return JSON.stringify(value);
}

/**
 * Every mismatch of `got` against `expected`.
 *
 * @param open names of the top level that count only where the expectation has them
 */
export function mismatches(
  path: string,
  expected: unknown,
  got: unknown,
  open: ReadonlySet<string> = new Set(),
): readonly Mismatch[] {
  const wrong = (): readonly Mismatch[] => [{ path, expected: shown(expected), got: shown(got) }];
  if (expected === '$any') return [];
  if (expected === '$present') return got === undefined ? wrong() : [];
  if (isRecord(expected)) {
    if (Array.isArray(expected['$oneOf']))
      return expected['$oneOf'].some((choice) => mismatches(path, choice, got, open).length === 0)
        ? []
        : wrong();
    if (typeof expected['$atLeast'] === 'string')
      return typeof got === 'string' && /^-?\d+$/.test(got) && BigInt(got) >= BigInt(expected['$atLeast'])
        ? []
        : wrong();
    if (Array.isArray(expected['$unordered'])) return unordered(path, expected['$unordered'], got);
    if (!isRecord(got)) return wrong();
    const names = new Set([...Object.keys(expected), ...Object.keys(got).filter((name) => !open.has(name))]);
    return [...names].flatMap((name) => mismatches(`${path}.${name}`, expected[name], got[name]));
  }
  if (Array.isArray(expected)) {
    if (!Array.isArray(got)) return wrong();
    const length = Math.max(expected.length, got.length);
    return Array.from({ length }, (_, i) => i).flatMap((i) =>
      mismatches(`${path}[${String(i)}]`, expected[i], (got as readonly unknown[])[i]),
    );
  }
  return expected === got ? [] : wrong();
}

function unordered(path: string, expected: readonly unknown[], got: unknown): readonly Mismatch[] {
  if (!Array.isArray(got)) return [{ path, expected: shown(expected), got: shown(got) }];
  const left: unknown[] = [...(got as readonly unknown[])];
  const missing = expected.filter((item) => {
    const at = left.findIndex((other) => mismatches(path, item, other).length === 0);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  return [
    ...missing.map((item) => ({ path: `${path}[]`, expected: shown(item), got: '(absent)' })),
    ...left.map((item) => ({ path: `${path}[]`, expected: '(absent)', got: shown(item) })),
  ];
}
