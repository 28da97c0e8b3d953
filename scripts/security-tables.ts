/**
 * The tables of attempts in docs/security.md, as test/e2e/stolen.test.ts carries them out. Run it
 * (`npx tsx scripts/security-tables.ts`) to bring the page up to date; a test fails while it is not.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FORGERIES, READINGS } from '../test/support/stolen-attempts.js';

const PAGE = fileURLToPath(new URL('../docs/security.md', import.meta.url));

const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

/** Who holds what, and what comes to be read. */
export function readingsTable(): string {
  return [
    row('the thief holds', 'and reads'),
    row('---', '---'),
    ...READINGS.map(({ holds, reads }) =>
      row(holds.join(' + '), reads.length === 0 ? 'nothing' : `**${reads.join(', ')}**`),
    ),
  ].join('\n');
}

/** What is tried, and what comes of it. */
export function forgeriesTable(): string {
  return [
    row('with', 'attempt', 'comes to'),
    row('---', '---', '---'),
    ...Object.entries(FORGERIES).map(([name, came]) => {
      const [holds = '', attempt = ''] = name.split(/: (.*)/s);
      return row(holds, attempt, /^[A-Z_]+$/.test(came) ? `refused, \`${came}\`` : came);
    }),
  ].join('\n');
}

/** The page with its tables as the test has them. */
export function withSecurityTables(page: string): string {
  const tables = { readings: readingsTable(), forgeries: forgeriesTable() };
  return Object.entries(tables).reduce((text, [name, table]) => {
    const place = new RegExp(`(<!-- ${name}:begin -->)[^]*?(<!-- ${name}:end -->)`);
    if (!place.test(text)) throw new Error(`docs/security.md has no place for the table "${name}"`);
    return text.replace(place, (_, begin: string, end: string) => `${begin}\n\n${table}\n\n${end}`);
  }, page);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(PAGE, withSecurityTables(readFileSync(PAGE, 'utf8')));
}
