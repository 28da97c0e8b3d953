import { MpeError } from '../ops/errors.js';

/** In which of the permitted orders steps run. */
export type OrderKind = 'source' | 'reverse' | 'seed';

/** Something that may have to wait for others. */
export interface Orderable {
  /** Unique over all. */
  readonly key: string;
  /** Keys that must come before. */
  readonly after: readonly string[];
}

/** A small, good generator (mulberry32): the same seed gives the same order on every machine. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/**
 * One permitted order: `source` takes the first that may run, `reverse` the last, `seed` any.
 *
 * @throws MpeError FIXTURE_INVALID where the orders contradict each other
 */
export function permittedOrder<T extends Orderable>(
  items: readonly T[],
  kind: OrderKind,
  seed: number,
): readonly T[] {
  const random = seededRandom(seed);
  const waiting = new Map<string, number>();
  const followers = new Map<string, number[]>();
  const keys = new Set(items.map((item) => item.key));
  items.forEach((item, index) => {
    const before = [...new Set(item.after)].filter((key) => keys.has(key));
    waiting.set(item.key, before.length);
    for (const key of before) followers.set(key, [...(followers.get(key) ?? []), index]);
  });
  // Indexes that may run now, ascending.
  const ready = items.flatMap((item, index) => (waiting.get(item.key) === 0 ? [index] : []));
  const order: T[] = [];
  while (ready.length > 0) {
    const at =
      kind === 'source' ? 0 : kind === 'reverse' ? ready.length - 1 : Math.floor(random() * ready.length);
    const [index] = ready.splice(at, 1);
    const item = index === undefined ? undefined : items[index];
    if (item === undefined) break;
    order.push(item);
    for (const follower of followers.get(item.key) ?? []) {
      const next = items[follower];
      if (next === undefined) continue;
      const left = (waiting.get(next.key) ?? 0) - 1;
      waiting.set(next.key, left);
      if (left > 0) continue;
      const place = ready.findIndex((other) => other > follower);
      ready.splice(place < 0 ? ready.length : place, 0, follower);
    }
  }
  if (order.length < items.length)
    throw new MpeError('FIXTURE_INVALID', 'steps wait for each other in a circle');
  return order;
}
