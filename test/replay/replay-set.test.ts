import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/ops/clock.js';
import { replayInProcess, replayOrders } from '../../src/replay/in-process.js';
import { failureLines } from '../../src/replay/replay-report.js';
import type { SetResult } from '../../src/replay/replay-set.js';
import { setOptions } from './support.js';

const FIVE_YEARS_MS = 5 * 365.25 * 86_400_000;

function failures(sets: readonly SetResult[]): string {
  const failed = sets.flatMap((set) => set.cases.filter((c) => c.status === 'failed'));
  return failed.flatMap(failureLines).join('\n');
}

const hashes = (sets: readonly SetResult[]): Record<string, (string | null)[]> => {
  const bySite: Record<string, (string | null)[]> = {};
  for (const { site, siteHash } of sets) (bySite[site.split(',')[0] ?? ''] ??= []).push(siteHash);
  return bySite;
};

describe('the recorded cases', () => {
  test('are answered and stored as expected, and a second time nothing is written', async () => {
    const options = { ...setOptions(), times: 2 };
    const { sets, faults } = await replayInProcess(options);
    expect(failures(sets)).toBe('');
    expect(faults).toEqual([]);
    expect(options.scanner.findings).toEqual([]);
    const first = sets.filter((_, index) => index % 2 === 0);
    expect(first.flatMap((set) => set.cases).length).toBeGreaterThanOrEqual(120);
    expect(first.find((set) => set.site === 'standard')?.keysWritten).toBeGreaterThan(200);
    for (const again of sets.filter((_, index) => index % 2 === 1)) expect(again.keysWritten).toBe(0);
    for (const both of Object.values(hashes(sets))) expect(new Set(both).size).toBe(1);
  });

  test('end in the same site in reverse and in a seeded order, five years later', async () => {
    const options = setOptions(undefined, systemClock(FIVE_YEARS_MS));
    const { sets, faults } = await replayOrders({ ...options, seed: 41 }, 1);
    expect(failures(sets)).toBe('');
    expect(faults).toEqual([]);
    for (const [site, all] of Object.entries(hashes(sets))) {
      expect(all.length, site).toBe(3);
      expect(new Set(all).size, site).toBe(1);
    }
  });
});
