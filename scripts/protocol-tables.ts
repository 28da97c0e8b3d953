/**
 * The tables of docs/protocol.md that the program decides: reasons, problems, limits. Run it
 * (`npx tsx scripts/protocol-tables.ts`) to bring the page up to date; a test fails while it is not.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PROBLEM_CODES, isRetryable, problemStatus, PROBLEM_TITLES } from '../src/ingest/problems.js';
import { DISPOSITION_RETRY, LIMITS, REASON_TABLE, type ReasonRule } from '../src/protocol/vocabulary.js';

const PAGE = fileURLToPath(new URL('../docs/protocol.md', import.meta.url));

/** What each limit bounds. */
const LIMIT_TEXTS: Readonly<Record<keyof typeof LIMITS, string>> = {
  envelopeBytes: 'body of `POST /v1/messages`, bytes',
  volumesPerMessage: 'volumes in one message',
  protectorsPerVolume: 'protectors (or key IDs) of one volume',
  keyPackageBytes: 'one key package, bytes',
  driveLabelChars: '`drive_label`, characters',
  clientVersionChars: '`client_version`, characters',
  nameChars: '`machine_name`, `domain`, `hardware_id`, users’ names and domains, characters',
  errorTextChars: '`error_text` and `ClientError.text`, characters',
  usersPerCheckIn: 'users in one check-in',
  waitSeconds: '`Prefer: wait`, seconds; more counts as this',
  registrationBytes: 'body of `POST /v1/clients`, bytes',
};

const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
const httpOf = (disposition: string): string =>
  disposition === 'QUEUED' || disposition === 'QUARANTINED' ? '202' : '200';

/** Every reason × disposition × HTTP status × retry × what is stored. */
export function reasonsTable(): string {
  const plain = Object.entries(DISPOSITION_RETRY).map(([disposition, retry]) => {
    const queued = disposition === 'QUEUED';
    return row(
      '(none)',
      `\`${disposition}\``,
      httpOf(disposition),
      `\`${retry}\``,
      queued ? 'queue' : 'outcome',
      queued ? 'no' : 'yes',
    );
  });
  const rules: readonly [string, ReasonRule][] = Object.entries(REASON_TABLE);
  const reasons = rules.map(([reason, rule]) =>
    row(
      `\`${reason}\``,
      `\`${rule.disposition}\``,
      httpOf(rule.disposition),
      `\`${rule.retry}\``,
      rule.stored,
      rule.sealed ? 'yes' : 'no',
    ),
  );
  return [
    row('reason', 'disposition', 'HTTP', 'retry', 'the site keeps', 'sealed'),
    row('---', '---', '---', '---', '---', '---'),
    ...plain,
    ...reasons,
  ].join('\n');
}

/** Every problem code. */
export function problemsTable(): string {
  return [
    row('code', 'HTTP', 'title', 'retry'),
    row('---', '---', '---', '---'),
    ...PROBLEM_CODES.map((code) =>
      row(`\`${code}\``, String(problemStatus(code)), PROBLEM_TITLES[code], retryText(code)),
    ),
  ].join('\n');
}

function retryText(code: (typeof PROBLEM_CODES)[number]): string {
  const status = problemStatus(code);
  if (isRetryable(code)) return 'the same, after `Retry-After`';
  if (status === 401) return 'one new token, then back off';
  if (code === 'MESSAGE_NOT_FOUND') return 'send the message again';
  if (status >= 500 || status === 408) return 'the same, with back-off';
  if (code === 'CLIENT_BLOCKED' || code === 'CLIENT_PENDING') return 'the same, at the longest step';
  return 'a fault of the client: report it, back off to the longest step';
}

/** Every limit. */
export function limitsTable(): string {
  return [
    row('limit', 'at most', 'of'),
    row('---', '---', '---'),
    ...Object.entries(LIMITS).map(([name, value]) =>
      row(`\`${name}\``, String(value), LIMIT_TEXTS[name as keyof typeof LIMITS]),
    ),
  ].join('\n');
}

/** The page with its tables as the program has them. */
export function withTables(page: string): string {
  const tables = { reasons: reasonsTable(), problems: problemsTable(), limits: limitsTable() };
  return Object.entries(tables).reduce((text, [name, table]) => {
    const place = new RegExp(`(<!-- ${name}:begin -->)[^]*?(<!-- ${name}:end -->)`);
    if (!place.test(text)) throw new Error(`docs/protocol.md has no place for the table "${name}"`);
    return text.replace(place, (_, begin: string, end: string) => `${begin}\n\n${table}\n\n${end}`);
  }, page);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(PAGE, withTables(readFileSync(PAGE, 'utf8')));
}
