import { stringify } from 'csv-stringify/sync';
import { spreadsheetText } from '../../audit/audit-text.js';
import { MpeError } from '../../../ops/errors.js';
import { AUDIT_KEY_TYPES } from '../../../store/audit-row.js';
import type { ServiceContext } from '../../service/context.js';
import type { AuditFilter, AuditLine } from '../../services.js';
import { FormBody } from '../form-body.js';
import type { PageRoutes } from '../page-routes.js';
import { AuditPage, type AuditForm } from '../pages/audit.js';
import { CoveragePage } from '../pages/coverage.js';
import { openPages, REPORT_PAGES } from '../parts/sub-nav.js';
import { sendFile } from '../send-file.js';
import { sendPage, sendPageError } from '../render.js';

const PAGE_ROWS = 50;
/** Rows of one CSV file; beyond that, a narrower range of dates. */
const CSV_ROWS = 100_000;
const CSV_STEP = 1000;
const DAY_MS = 86_400_000;

/** Recovery audit, as page and CSV, and coverage. */
export function reports(routes: PageRoutes, { services, clock }: ServiceContext): void {
  routes.get('/reports', 'signed-in', async ({ session, reply, frame }) => {
    const [first] = openPages(REPORT_PAGES, session.person);
    return first === undefined
      ? sendPageError(reply, frame, { kind: 'forbidden' })
      : reply.redirect(first.href, 303);
  });
  routes.get('/reports/audit', 'audit.report', async ({ request, reply, frame }) => {
    const form = formOf(new FormBody(request.query));
    const before = new FormBody(request.query).text('before');
    const filter = filterOf(form);
    const { lines, more } = await services.reports.audit({
      ...filter,
      ...(/^\d{1,19}$/.test(before) ? { before } : {}),
      limit: PAGE_ROWS,
    });
    const last = lines.at(-1);
    return sendPage(
      reply,
      <AuditPage
        frame={frame}
        form={form}
        lines={lines}
        nextHref={more && last !== undefined ? `/reports/audit?${queryOf(form, last.sequence)}` : null}
        csvHref={`/reports/audit.csv?${queryOf(form)}`}
      />,
    );
  });
  routes.get('/reports/audit.csv', 'audit.report', async ({ request, reply }) => {
    const filter = filterOf(formOf(new FormBody(request.query)));
    const lines = await allLines(async (before) =>
      services.reports.audit({ ...filter, ...(before === null ? {} : { before }), limit: CSV_STEP }),
    );
    const day = new Date(clock.now()).toISOString().slice(0, 10);
    return sendFile(reply, `recovery-audit ${day}.csv`, 'text/csv; charset=utf-8', auditCsv(lines));
  });
  routes.get('/reports/coverage', 'coverage.report', async ({ reply, frame }) =>
    sendPage(reply, <CoveragePage frame={frame} report={await services.reports.coverage()} />),
  );
}

function formOf(query: FormBody): AuditForm {
  return {
    user: query.text('user'),
    userType: query.text('userType'),
    result: query.text('result'),
    keyType: query.text('keyType'),
    from: query.text('from'),
    to: query.text('to'),
  };
}

/** A filter that means nothing is left out. */
function filterOf(form: AuditForm): Omit<AuditFilter, 'limit' | 'before'> {
  const fromMs = Date.parse(`${form.from}T00:00:00Z`);
  const toMs = Date.parse(`${form.to}T00:00:00Z`) + DAY_MS;
  const keyType = AUDIT_KEY_TYPES.find((type) => type !== '' && type === form.keyType);
  return {
    ...(form.user === '' ? {} : { user: form.user }),
    ...(form.userType === 'helpdesk' || form.userType === 'end-user' ? { userType: form.userType } : {}),
    ...(form.result === 'Successful' || form.result === 'Failed' ? { result: form.result } : {}),
    ...(keyType === undefined ? {} : { keyType }),
    ...(Number.isNaN(fromMs) ? {} : { fromMs }),
    ...(Number.isNaN(toMs) ? {} : { toMs }),
  };
}

function queryOf(form: AuditForm, before?: string): string {
  const query = new URLSearchParams(Object.entries(form).filter(([, value]) => value !== ''));
  if (before !== undefined) query.set('before', before);
  return query.toString();
}

/**
 * Every line of a report, read page by page.
 *
 * @throws MpeError VALUE_INVALID where there are more than a file holds: a report that is cut says less
 *   than it seems to
 */
export async function allLines(
  read: (before: string | null) => Promise<{ readonly lines: readonly AuditLine[]; readonly more: boolean }>,
): Promise<readonly AuditLine[]> {
  const all: AuditLine[] = [];
  for (let before: string | null = null; ;) {
    const { lines, more } = await read(before);
    all.push(...lines);
    before = lines.at(-1)?.sequence ?? null;
    if (!more || before === null) return all;
    if (all.length >= CSV_ROWS)
      throw new MpeError(
        'VALUE_INVALID',
        `a file holds at most ${CSV_ROWS.toLocaleString('en')} rows, and there are more: choose a shorter time, or run "mpe audit export"`,
      );
  }
}

/** The report as CSV for spreadsheets: what would run as a formula is marked as text. */
export function auditCsv(lines: readonly AuditLine[]): string {
  return stringify(
    lines.map(({ atMs, ...line }) => ({
      at: new Date(atMs).toISOString(),
      ...Object.fromEntries(Object.entries(line).map(([name, text]) => [name, spreadsheetText(text)])),
    })),
    {
      header: true,
      bom: true,
      record_delimiter: 'windows',
      columns: [
        { key: 'at', header: 'Request Date and Time (UTC)' },
        { key: 'source', header: 'Audit Request Source' },
        { key: 'result', header: 'Request Result' },
        { key: 'helpdeskUser', header: 'Helpdesk User' },
        { key: 'endUser', header: 'End User' },
        { key: 'machine', header: 'Computer' },
        { key: 'keyType', header: 'Key Type' },
        { key: 'keyId', header: 'Key ID' },
        { key: 'reason', header: 'Reason Description' },
        { key: 'ticket', header: 'Ticket' },
        { key: 'detail', header: 'Detail' },
        { key: 'sequence', header: 'Audit Sequence' },
      ],
    },
  );
}
