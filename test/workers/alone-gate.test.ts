import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { AloneGate } from '../../src/workers/alone-gate.js';

/** Runs jobs through a gate and notes who was inside together. */
function observed(): {
  gate: AloneGate;
  job: (name: string, alone?: boolean) => Promise<void>;
  seen: string[];
} {
  const gate = new AloneGate();
  const inside = new Set<string>();
  const seen: string[] = [];
  const job = (name: string, alone = false): Promise<void> =>
    gate[alone ? 'alone' : 'together'](async () => {
      inside.add(name);
      for (let i = 0; i < 3; i += 1) {
        seen.push([...inside].sort().join('+'));
        await sleep(0);
      }
      inside.delete(name);
    });
  return { gate, job, seen };
}

test('jobs run side by side; a suspect waits for them, runs alone, and those after it wait', async () => {
  const { job, seen } = observed();
  await Promise.all([job('a'), job('b'), job('S', true), job('c'), job('T', true), job('d')]);
  expect(seen).toContain('a+b');
  for (const together of seen) if (/[ST]/.test(together)) expect(together).toMatch(/^[ST]$/);
  expect(seen.indexOf('S')).toBeGreaterThan(seen.lastIndexOf('a+b'));
  expect(seen.indexOf('c+d')).toBeGreaterThan(seen.lastIndexOf('T'));
});

test('a job that throws leaves the gate open', async () => {
  const { gate, job, seen } = observed();
  await expect(gate.alone(() => Promise.reject(new Error('x')))).rejects.toThrow('x');
  await expect(gate.together(() => Promise.reject(new Error('y')))).rejects.toThrow('y');
  await Promise.all([job('S', true), job('a')]);
  expect(new Set(seen)).toEqual(new Set(['S', 'a']));
});
