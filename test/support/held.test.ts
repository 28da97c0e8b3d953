import { expect, test } from 'vitest';
import { leastOfRounds, longestHeld } from './held.js';

test('what waits without working is seen by the clock', async () => {
  const { wallMs } = await longestHeld(() => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
    return Promise.resolve();
  });
  expect(wallMs).toBeGreaterThanOrEqual(50);
});

test('what works is seen by the time of the processor', async () => {
  const { workMs, wallMs } = await longestHeld(() => {
    const [cpu, wall] = [process.cpuUsage(), performance.now()];
    while (performance.now() - wall < 60 || process.cpuUsage(cpu).user < 60_000);
    return Promise.resolve();
  });
  expect(workMs).toBeGreaterThanOrEqual(50);
  expect(wallMs).toBeGreaterThanOrEqual(workMs);
});

test('each figure is the least of three rounds, and of more while one is not below its bound', async () => {
  const rounds = [9, 2, 5, 1].map((a, i) => ({ a, b: 10 - i }));
  const round = (turn: number) => Promise.resolve(rounds[turn]!);
  expect(await leastOfRounds(round, { a: 3, b: 9 })).toEqual({ a: 2, b: 8 });
  expect(await leastOfRounds(round, { a: 3, b: 8 })).toEqual({ a: 1, b: 7 });
});
