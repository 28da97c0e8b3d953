import { AUDIT_KEY_TYPES } from '../../../store/audit-row.js';
import type { AuditLine } from '../../services.js';
import { Badge } from '../parts/badge.js';
import { SelectField, Submit, TextField } from '../parts/form.js';
import { KeyId } from '../parts/key-state.js';
import { Page, type Frame } from '../parts/shell.js';
import { REPORT_PAGES, SubNav } from '../parts/sub-nav.js';
import { Table, type Column } from '../parts/table.js';
import type { View } from '../parts/view.js';
import { When } from '../parts/when.js';

/** The filters as they stand in the address. */
export interface AuditForm {
  readonly user: string;
  readonly userType: string;
  readonly result: string;
  readonly keyType: string;
  readonly from: string;
  readonly to: string;
}

const none = <span class="soft">–</span>;
const text = (value: string): View | string => (value === '' ? none : value);

/** The published columns, in their order. */
const COLUMNS: readonly Column<AuditLine>[] = [
  { head: 'Request date and time', cell: (line) => <When atMs={line.atMs} /> },
  { head: 'Audit request source', cell: (line) => line.source },
  {
    head: 'Request result',
    cell: (line) => <Badge tone={line.result === 'Successful' ? 'good' : 'bad'}>{line.result}</Badge>,
  },
  { head: 'Helpdesk user', cell: (line) => text(line.helpdeskUser) },
  { head: 'End user', cell: (line) => text(line.endUser) },
  { head: 'Computer', cell: (line) => text(line.machine) },
  { head: 'Key type', cell: (line) => text(line.keyType) },
  { head: 'Key ID', cell: (line) => (line.keyId === '' ? none : <KeyId id={line.keyId} />) },
  { head: 'Reason description', cell: (line) => <Reason line={line} /> },
];

/** The reason, the ticket where there is one, and why a request failed. */
function Reason({ line }: { readonly line: AuditLine }): View {
  const { reason, ticket, detail } = line;
  return (
    <>
      {text(reason)}
      {ticket === '' ? null : (
        <div class="soft">
          Ticket <bdi>{ticket}</bdi>
        </div>
      )}
      {detail === '' ? null : <div class="soft small">{detail}</div>}
    </>
  );
}

/** The recovery audit report. */
export function AuditPage({
  frame,
  form,
  lines,
  nextHref,
  csvHref,
}: {
  readonly frame: Frame;
  readonly form: AuditForm;
  readonly lines: readonly AuditLine[];
  /** Older rows; null: these are the last. */
  readonly nextHref: string | null;
  readonly csvHref: string;
}): View {
  return (
    <Page frame={frame} title="Recovery audit" section="reports" wide>
      <SubNav label="Reports" pages={REPORT_PAGES} person={frame.person} here="/reports/audit" />
      <div class="row row-apart">
        <h1>Recovery audit</h1>
        <a class="button button-small no-print" href={csvHref}>
          Download as CSV
        </a>
      </div>
      <p class="lead">
        Every request for a key and every change by an operator, the newest first: what was done, and what was
        refused.
      </p>
      <div class="stack spaced">
        <Filters form={form} />
        <Table
          caption="Requests and changes"
          columns={COLUMNS}
          rows={lines}
          keyOf={(line) => line.sequence}
          empty="No request fits these filters."
        />
        {nextHref === null ? null : (
          <div class="row">
            <a class="button" href={nextHref}>
              Older requests
            </a>
          </div>
        )}
      </div>
    </Page>
  );
}

function Filters({ form }: { readonly form: AuditForm }): View {
  return (
    <form method="get" action="/reports/audit" class="panel filters no-print" aria-label="Filters">
      <SelectField
        name="userType"
        label="User type"
        placeholder="Any"
        options={[
          ['helpdesk', 'Helpdesk user'],
          ['end-user', 'End user'],
        ]}
        value={form.userType}
        optional
        plain
      />
      <TextField name="user" label="Name of the user" value={form.user} optional plain />
      <SelectField
        name="result"
        label="Request result"
        placeholder="Any"
        options={[
          ['Successful', 'Successful'],
          ['Failed', 'Failed'],
        ]}
        value={form.result}
        optional
        plain
      />
      <SelectField
        name="keyType"
        label="Key type"
        placeholder="Any"
        options={AUDIT_KEY_TYPES.filter((type) => type !== '').map((type) => [type, type] as const)}
        value={form.keyType}
        optional
        plain
      />
      <TextField name="from" label="From (UTC)" type="date" value={form.from} optional plain />
      <TextField name="to" label="To (UTC)" type="date" value={form.to} optional plain />
      <div class="row">
        <Submit tone="plain">Apply</Submit>
        <a href="/reports/audit">Reset</a>
      </div>
    </form>
  );
}
