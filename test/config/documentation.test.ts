import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SETTINGS, type Setting } from '../../src/config/settings.js';

const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');

/** A row of the page's table, as the table of settings demands it. */
function rowOf(name: string, setting: Setting<unknown>): string {
  const fallback = setting.fallback ?? setting.defaultNote ?? '';
  const marks = [
    ...(setting.byFile ? ['also `_FILE`'] : []),
    ...(setting.testSitesOnly ? ['test sites only'] : []),
  ];
  const about = [setting.about, ...marks.map((mark) => `(${mark})`)].join(' ');
  return `| \`${name}\` | \`${fallback}\` | ${setting.form.accepts} | ${about} |`;
}

test('docs/configuration.md lists every setting as the source has it, and no other', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| `MPE_'));
  const expected = Object.entries(SETTINGS).map(([name, setting]) =>
    rowOf(name, setting as Setting<unknown>),
  );
  // Prettier pads the cells of a table; what they say is what counts.
  const plain = (row: string): string => row.replaceAll(/ +/g, ' ').replaceAll('\\', '').trim();
  expect(rows.map(plain)).toEqual(expected.map(plain));
});
