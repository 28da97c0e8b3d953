import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { withSecurityTables } from '../../scripts/security-tables.js';

const root = new URL('../../', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, root), 'utf8');
const pages = ['docs/security.md', 'SECURITY.md'] as const;

/** Every `test/file.ts` with the names in “quotes” that follow it; names may be broken over lines. */
function claims(page: string): { readonly file: string; readonly names: readonly string[] }[] {
  const places = [...page.matchAll(/`(test\/[\w./-]+)`((?:,?\s+“[^”]+”)*)/g)];
  return places.map(([, file, names]) => ({
    file: file!,
    names: [...names!.matchAll(/“([^”]+)”/g)].map(([, name]) => name!.replaceAll(/\s+/g, ' ')),
  }));
}

/** A source as a reader of names sees it: line breaks and quotes of its own do not matter. */
const plain = (text: string): string => text.replaceAll("\\'", "'").replaceAll(/\s+/g, ' ');

test.each(pages)('%s: every test that it names is there', (page) => {
  const found = claims(read(page));
  expect(found.length).toBeGreaterThan(page === 'SECURITY.md' ? 3 : 30);
  const missing = found.flatMap(({ file, names }) => {
    if (!existsSync(new URL(file, root))) return [file];
    // A folder of tests is named without a test.
    if (!file.endsWith('.ts')) return [];
    const source = plain(read(file));
    return names.filter((name) => !source.includes(name)).map((name) => `${file} “${name}”`);
  });
  expect(missing).toEqual([]);
});

test('a name that is not there would be found, also where it is broken over lines', () => {
  expect(claims('x (`test/a/b.test.ts` “one\ntwo”, “three”, `test/c`)')).toEqual([
    { file: 'test/a/b.test.ts', names: ['one two', 'three'] },
    { file: 'test/c', names: [] },
  ]);
  expect(plain(read('test/e2e/stolen.test.ts'))).not.toContain('no such test');
});

test('every row with “cannot” names the test that holds it', () => {
  const rows = read('docs/security.md')
    .split('\n')
    .filter((line) => line.startsWith('| cannot |'));
  expect(rows.length).toBeGreaterThan(15);
  expect(rows.filter((line) => claims(line).length === 0)).toEqual([]);
});

test('the tables of attempts are those that are carried out', () => {
  const page = read('docs/security.md');
  expect(withSecurityTables(page)).toBe(page);
});

test('links between the pages lead somewhere', () => {
  for (const page of pages) {
    for (const [, link] of read(page).matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
      if (!link!.startsWith('http')) expect(existsSync(new URL(link!, new URL(page, root))), link).toBe(true);
    }
  }
});
