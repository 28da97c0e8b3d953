import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { isMpeError, MpeError } from '../ops/errors.js';
import { readBuiltCase } from '../replay/built-case.js';
import { coverageOf, uncovered } from '../replay/coverage.js';
import { buildFixtures, DEFAULT_FIXTURES, materialOf, staleFixtures } from '../replay/fixture-folder.js';
import { loadFixtures } from '../replay/load-fixtures.js';
import { makeMaterialText } from '../replay/material.js';
import { showCase } from '../replay/show-case.js';
import { group } from './group.js';
import { print, printJson, warn } from './output.js';

/** Exit status of a bad fixture, as with `mpe replay`. */
const EXIT_BAD_FIXTURE = 2;

/** `mpe fixtures …`: build, read and count the recorded cases. */
export function register(program: Command): void {
  const fixtures = group(program, 'fixtures', 'Recorded messages with what the engine must answer');
  const folder = ['--fixtures <folder>', 'folder of the fixtures', DEFAULT_FIXTURES] as const;
  fixtures
    .command('build')
    .description('seal and sign what was edited; tokens of unchanged messages stay as they are')
    .option(...folder)
    .option('--check', 'build nothing; exit 1 where something would be built', false)
    .option('--new-keys', 'make the fixture site’s keys where there are none', false)
    .action(guarded(build));
  fixtures
    .command('show <case>')
    .description('print a case, its tokens opened; recovery passwords are masked')
    .option(...folder)
    .option('--secrets', 'print recovery passwords, packages and owner authorizations too', false)
    .action(guarded(show));
  fixtures
    .command('coverage')
    .description(
      'which cases show which disposition, reason and body; exit 1 where one that can occur has none',
    )
    .option(...folder)
    .option('--json', 'print as JSON', false)
    .action(guarded(coverage));
}

/** Turns a bad fixture into its exit status. */
function guarded<A extends readonly unknown[]>(
  action: (...args: A) => Promise<void>,
): (...args: A) => Promise<void> {
  return async (...args) => {
    try {
      await action(...args);
    } catch (error) {
      if (!isMpeError(error, 'FIXTURE_INVALID')) throw error;
      warn(`mpe: FIXTURE_INVALID: ${error.message}`);
      process.exitCode = EXIT_BAD_FIXTURE;
    }
  };
}

async function build(options: {
  readonly fixtures: string;
  readonly check: boolean;
  readonly newKeys: boolean;
}): Promise<void> {
  const folder = resolve(options.fixtures);
  const keys = join(folder, 'keys', 'site.json');
  if (options.newKeys && !options.check) {
    if (existsSync(keys))
      throw new MpeError('USAGE', `${keys} is there; remove it first, and every built token with it`);
    mkdirSync(join(folder, 'keys'), { recursive: true });
    writeFileSync(keys, await makeMaterialText(Date.now()));
    print(`made ${keys}`);
  }
  const loaded = loadFixtures(folder);
  if (options.check) {
    const stale = staleFixtures(folder, loaded);
    if (stale.length === 0) {
      print(`${loaded.length} cases, built and up to date`);
      return;
    }
    print(
      ...stale.map((entry) => `stale: ${entry}`),
      'run mpe fixtures build and commit test/fixtures/built',
    );
    process.exitCode = 1;
    return;
  }
  const { cases, made, removed } = await buildFixtures(folder, loaded);
  print(
    ...made.map((entry) => `made ${entry}`),
    ...removed.map((entry) => `removed ${entry}`),
    `${cases} cases, ${made.length} tokens made, ${removed.length} removed`,
  );
}

async function show(
  name: string,
  options: { readonly fixtures: string; readonly secrets: boolean },
): Promise<void> {
  const folder = resolve(options.fixtures);
  const found = loadFixtures(folder).find(({ fixture }) => fixture.name === name);
  if (found === undefined)
    throw new MpeError('USAGE', `there is no case "${name}" in ${join(folder, 'cases')}`);
  const built = readBuiltCase(folder, name);
  print(await showCase(found.fixture, built, materialOf(folder), options.secrets));
}

// eslint-disable-next-line @typescript-eslint/require-await -- one shape for all actions
async function coverage(options: { readonly fixtures: string; readonly json: boolean }): Promise<void> {
  const loaded = loadFixtures(resolve(options.fixtures));
  const lines = coverageOf(loaded.map(({ fixture }) => fixture));
  const missing = uncovered(lines);
  if (options.json) printJson({ cases: loaded.length, lines, missing });
  else {
    for (const { group: name, word, cases } of lines) {
      const shown = cases.length > 4 ? `${cases.slice(0, 4).join(' ')} …` : cases.join(' ');
      const text = cases.length > 0 ? `${String(cases.length).padStart(3)}  ${shown}` : '  –  NO CASE';
      print(`${name.padEnd(20)}  ${word.padEnd(28)}  ${text}`);
    }
    print(`${loaded.length} cases, ${lines.length} words, ${missing.length} without a case`);
  }
  if (missing.length > 0) process.exitCode = 1;
}
