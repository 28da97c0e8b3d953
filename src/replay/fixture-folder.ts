import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MpeError } from '../ops/errors.js';
import { buildCase, staleSteps } from './build-case.js';
import { builtFile, readBuiltCase } from './built-case.js';
import type { LoadedFixture } from './load-fixtures.js';
import { readMaterial, type FixtureMaterial } from './material.js';
import type { ReadyCase } from './plan-set.js';

/** The fixtures of this repository: beside src/ and dist/. */
export const DEFAULT_FIXTURES = join(dirname(fileURLToPath(import.meta.url)), '../../test/fixtures');

/** The keys of a fixtures' folder. @throws MpeError FIXTURE_INVALID */
export function materialOf(folder: string): FixtureMaterial {
  return readMaterial(join(folder, 'keys'));
}

/** What a build did. */
export interface BuildSummary {
  readonly cases: number;
  /** `case/step` of every token that was made. */
  readonly made: readonly string[];
  /** Built files and steps that no case has any more. */
  readonly removed: readonly string[];
}

/** Built files that no case has. */
function orphans(folder: string, loaded: readonly LoadedFixture[]): readonly string[] {
  const built = join(folder, 'built');
  if (!existsSync(built)) return [];
  const names = new Set(loaded.map(({ fixture }) => fixture.name));
  return readdirSync(built).filter((file) => file.endsWith('.json') && !names.has(basename(file, '.json')));
}

/** Builds every case, making anew only what was edited, and removes what no case has. */
export async function buildFixtures(folder: string, loaded: readonly LoadedFixture[]): Promise<BuildSummary> {
  const material = materialOf(folder);
  mkdirSync(join(folder, 'built'), { recursive: true });
  const made: string[] = [];
  const removed: string[] = [];
  for (const { fixture } of loaded) {
    const result = await buildCase(fixture, material, readBuiltCase(folder, fixture.name));
    made.push(...result.made.map((id) => `${fixture.name}/${id}`));
    removed.push(...result.dropped.map((id) => `${fixture.name}/${id}`));
    if (result.made.length + result.dropped.length > 0)
      writeFileSync(builtFile(folder, fixture.name), `${JSON.stringify(result.built, null, 2)}\n`);
  }
  for (const file of orphans(folder, loaded)) {
    rmSync(join(folder, 'built', file));
    removed.push(file);
  }
  return { cases: loaded.length, made, removed };
}

/** Everything that a build would make or remove, one a line; empty where the build is up to date. */
export function staleFixtures(folder: string, loaded: readonly LoadedFixture[]): readonly string[] {
  const material = materialOf(folder);
  return [
    ...loaded.flatMap(({ fixture }) =>
      staleSteps(fixture, material, readBuiltCase(folder, fixture.name)).map((id) => `${fixture.name}/${id}`),
    ),
    ...orphans(folder, loaded).map((file) => `built/${file} (no such case)`),
  ];
}

/**
 * Cases with their tokens, ready to be sent.
 *
 * @throws MpeError FIXTURE_INVALID where a case was edited and not built again
 */
export function readyCases(
  folder: string,
  chosen: readonly LoadedFixture[],
  material: FixtureMaterial,
): readonly ReadyCase[] {
  return chosen.map(({ file, fixture }) => {
    const built = readBuiltCase(folder, fixture.name);
    const stale = staleSteps(fixture, material, built);
    if (built === null || stale.length > 0)
      throw new MpeError(
        'FIXTURE_INVALID',
        `${file}: not built since it was edited (${stale.join(', ')}); run mpe fixtures build`,
      );
    return { file, fixture, built };
  });
}
