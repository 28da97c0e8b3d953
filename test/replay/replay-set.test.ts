import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SITE_VARIANTS } from '../../src/replay/site-variants.js';
import { tempFolder } from '../support/temp.js';
import { mpe, type Editable } from './support.js';

/** Replays the whole set by the built command line: real time, real settings. */
async function replay(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Editable> {
  const json = join(tempFolder(), 'report.json');
  const { status, stdout, stderr } = await mpe(['replay', '--json', json, ...args], env);
  expect(stdout + stderr).not.toContain('✗');
  expect(status).toBe(0);
  return JSON.parse(readFileSync(json, 'utf8'));
}

// Every case on every site, several times: minutes on a machine that is busy.
describe('the recorded cases', { timeout: 420_000 }, () => {
  test('are answered and stored as expected, and a second time nothing is written', async () => {
    const { sets, faults, secretsFound } = await replay(['--times', '2']);
    expect(faults).toEqual([]);
    expect(secretsFound).toEqual([]);
    expect(sets).toHaveLength(2 * SITE_VARIANTS.length);
    const [first, again] = sets.filter((set: Editable) => set.site === 'standard');
    expect(first.cases.filter((c: Editable) => c.status === 'ok').length).toBeGreaterThan(100);
    expect(first.keysWritten).toBeGreaterThan(200);
    expect(again.keysWritten).toBe(0);
    expect(again.siteHash).toBe(first.siteHash);
    expect(again.outcomes.ALREADY_COMMITTED).toBeGreaterThan(100);
  });

  test('end in the same site in reverse and in seeded orders, five years later', async () => {
    const { sets, faults } = await replay(['--orders', '2', '--seed', '41'], {
      MPE_TEST_CLOCK_OFFSET: '+5y',
    });
    expect(faults).toEqual([]);
    const standard = sets.filter((set: Editable) => set.site.startsWith('standard'));
    expect(standard.map((set: Editable) => set.site)).toEqual(
      ['source order', 'reverse', 'seed 41', 'seed 42'].map((order) => `standard, ${order}`),
    );
    expect(new Set(standard.map((set: Editable) => set.siteHash)).size).toBe(1);
  });
});
