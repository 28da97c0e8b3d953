import { setTimeout as sleep } from 'node:timers/promises';

/** The longest stretch between two turns of the event loop, in milliseconds. */
export interface Held {
  /**
   * By the processor time of this process, as far as the clock agrees: neither what other processes take
   * from it counts, nor what its other threads (collection of garbage, compilation, files) do beside it.
   */
  readonly workMs: number;
  /** By the clock: also what waits without working, as for a lock or a disk; and a busy machine. */
  readonly wallMs: number;
}

/** How long this process was held at most while something ran. */
export async function longestHeld(work: () => Promise<unknown>): Promise<Held> {
  let [workMs, wallMs, isOver] = [0, 0, false];
  let [cpu, wall] = [process.cpuUsage(), performance.now()];
  const measure = (): void => {
    const { user, system } = process.cpuUsage(cpu);
    const took = performance.now() - wall;
    workMs = Math.max(workMs, Math.min(took, (user + system) / 1000));
    wallMs = Math.max(wallMs, took);
    [cpu, wall] = [process.cpuUsage(), performance.now()];
  };
  const turn = (): void => {
    measure();
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  try {
    await work();
  } finally {
    isOver = true;
    measure();
  }
  return { workMs, wallMs };
}

/**
 * The least of each figure over several rounds: what a round itself takes, it takes in every one; what a busy
 * machine adds, it does not. Three rounds, and more, up to twenty, while one of the figures is not below its
 * bound.
 */
export async function leastOfRounds<K extends string>(
  round: (turn: number) => Promise<Readonly<Record<K, number>>>,
  bounds: Readonly<Record<K, number>>,
): Promise<Readonly<Record<K, number>>> {
  const names = Object.keys(bounds) as K[];
  let least = await round(0);
  for (let turn = 1; turn < 20; turn += 1) {
    const isHeld = names.every((name) => least[name] < bounds[name]);
    if (turn >= 3 && isHeld) break;
    if (turn >= 3) await sleep(turn * 50);
    const next = await round(turn);
    const lesser = names.map((name) => [name, Math.min(least[name], next[name])]);
    least = Object.fromEntries(lesser) as Record<K, number>;
  }
  return least;
}

/** The least that an attempt says of itself, of up to ten, until one is below its bound. */
export async function leastOf(attempt: () => Promise<number>, bound: number): Promise<number> {
  let least = Infinity;
  for (let tries = 0; tries < 10 && least >= bound; tries += 1) {
    if (tries > 0) await sleep(tries * 100);
    least = Math.min(least, await attempt());
  }
  return least;
}

/** How long something takes by the clock, in milliseconds. */
export async function tookMs(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return performance.now() - before;
}
