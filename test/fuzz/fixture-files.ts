import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMpeError } from '../../src/ops/errors.js';
import { loadFixtures } from '../../src/replay/load-fixtures.js';
import { tempFolder } from '../support/temp.js';
import { bounded, type FuzzTarget } from './target.js';

const CASES = join(import.meta.dirname, '../fixtures/cases');
/** Enough to have every kind of step, few enough to be quick. */
const EVERY = 8;

/** Fixture files, as testers write them: loaded, or refused with file, place and what to do. */
export function fixtureTarget(): FuzzTarget {
  const folder = tempFolder('mpe-fuzz-');
  const names = readdirSync(CASES)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .filter((_, i) => i % EVERY === 0);
  mkdirSync(join(folder, 'cases'));
  return {
    name: 'fixture-files',
    seeds: names.map((name) => readFileSync(join(CASES, name))),
    words: [
      ...[
        '{',
        '}',
        '[',
        ']',
        '"',
        ',',
        ':',
        'null',
        'true',
        '-0',
        '1e999',
        '"__proto__":',
        '"constructor":{}',
      ],
      ...['"of":"', '"after":["', '"client":"', '"repeat":1e9', '\\ud800', '[[[[[[[[[[', '"../../x"'],
    ],
    run(input) {
      writeFileSync(join(folder, 'cases', 'fuzzed.json'), input);
      try {
        bounded(() => loadFixtures(folder));
      } catch (error) {
        if (!isMpeError(error, 'FIXTURE_INVALID')) throw error;
        if (!error.message.includes('fuzzed.json')) throw new Error(`names no file: ${error.message}`);
      }
    },
  };
}
