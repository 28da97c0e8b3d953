import { personKey } from '../../../store/people-store.js';
import { may } from '../../roles.js';
import type { AccountLine, IncidentLine } from '../../services.js';
import { Badge, type Tone } from '../parts/badge.js';
import { PostForm, Submit, TextArea, TextField } from '../parts/form.js';
import { OutcomeNotice, type Outcome } from '../parts/outcome.js';
import { Page, type Frame } from '../parts/shell.js';
import { ADMINISTRATION_PAGES, SubNav } from '../parts/sub-nav.js';
import { Table } from '../parts/table.js';
import type { View } from '../parts/view.js';
import { When } from '../parts/when.js';
import { RowButton } from './clients.js';

const TONES: Readonly<Record<IncidentLine['state'], Tone>> = {
  PROPOSED: 'warn',
  OPEN: 'bad',
  ENDED: 'quiet',
};

/** What was typed of an incident. */
export interface IncidentForm {
  readonly title: string;
  readonly machines: string;
  readonly hours: string;
}

export const NEW_INCIDENT: IncidentForm = { title: '', machines: '', hours: '8' };

/** Incidents: two persons lift the limits for listed machines, for a while. */
export function IncidentsPage({
  frame,
  incidents,
  outcome,
  form,
}: {
  readonly frame: Frame;
  readonly incidents: readonly IncidentLine[];
  readonly outcome: Outcome;
  readonly form: IncidentForm;
}): View {
  const canOpen = frame.person !== null && may(frame.person, 'incident.open', 'other');
  return (
    <Page frame={frame} title="Incidents" section="administration" wide>
      <SubNav
        label="Administration"
        pages={ADMINISTRATION_PAGES}
        person={frame.person}
        here="/administration/incidents"
      />
      <h1>Incidents</h1>
      <p class="lead">
        When many machines ask for their keys at once, two persons together lift the limits for the listed
        ones. An incident ends by itself; all its keys are replaced.
      </p>
      <div class="stack spaced">
        <OutcomeNotice outcome={outcome} />
        <Table
          caption="Incidents"
          rows={incidents}
          keyOf={(one) => one.incidentId}
          empty="There was none yet."
          columns={[
            { head: 'Title', cell: (one) => one.title },
            {
              head: 'State',
              cell: (one) => <Badge tone={TONES[one.state]}>{one.state.toLowerCase()}</Badge>,
            },
            { head: 'Machines', cell: (one) => String(one.machines), number: true },
            { head: 'Proposed by', cell: (one) => one.proposedBy },
            { head: 'Confirmed by', cell: (one) => one.confirmedBy ?? 'nobody yet' },
            { head: 'Opened', cell: (one) => <When atMs={one.openedAtMs} absent="not yet" /> },
            { head: 'Ends', cell: (one) => <When atMs={one.endsAtMs} absent="–" /> },
            { head: 'Next', cell: (one) => (canOpen ? <Next one={one} frame={frame} /> : '') },
          ]}
        />
        {canOpen ? <ProposeForm csrf={frame.csrf} form={form} /> : null}
      </div>
    </Page>
  );
}

function Next({ one, frame }: { readonly one: IncidentLine; readonly frame: Frame }): View | string {
  const fields = { incident: one.incidentId };
  switch (one.state) {
    case 'PROPOSED':
      return isSame(one.proposedBy, frame.person?.name) ? (
        'waits for a second person'
      ) : (
        <RowButton
          action="/administration/incidents/confirm"
          csrf={frame.csrf}
          fields={fields}
          label="Confirm"
          named={one.title}
        />
      );
    case 'OPEN':
      return (
        <RowButton
          action="/administration/incidents/end"
          csrf={frame.csrf}
          fields={fields}
          label="End"
          named={one.title}
        />
      );
    case 'ENDED':
      return '';
  }
}

function ProposeForm({ csrf, form }: { readonly csrf: string; readonly form: IncidentForm }): View {
  return (
    <section class="panel stack" aria-labelledby="propose-title">
      <h2 id="propose-title">Propose an incident</h2>
      <PostForm action="/administration/incidents/propose" csrf={csrf}>
        <TextField name="title" label="What happened" value={form.title} maxLength={200} />
        <TextArea
          name="machines"
          label="Machines"
          hint="One name or client id a line."
          value={form.machines}
          code
        />
        <TextField
          name="hours"
          label="Hours until it ends"
          type="number"
          min={1}
          max={72}
          value={form.hours}
        />
        <div class="row">
          <Submit>Propose</Submit>
        </div>
      </PostForm>
    </section>
  );
}

/** Local accounts; they are made on the command line. */
export function AccountsPage({
  frame,
  accounts,
  outcome,
}: {
  readonly frame: Frame;
  readonly accounts: readonly AccountLine[];
  readonly outcome: Outcome;
}): View {
  const self = frame.person?.name ?? null;
  const canDisable = frame.person !== null && may(frame.person, 'people.disable', 'other');
  return (
    <Page frame={frame} title="Local accounts" section="administration">
      <SubNav
        label="Administration"
        pages={ADMINISTRATION_PAGES}
        person={frame.person}
        here="/administration/accounts"
      />
      <h1>Local accounts</h1>
      <p class="lead">
        Accounts, their roles and passwords are made on the command line: <code>mpe accounts</code>.
      </p>
      <div class="stack spaced">
        <OutcomeNotice outcome={outcome} />
        <Table
          caption="Local accounts"
          rows={accounts}
          keyOf={(one) => one.name}
          empty="There are none: people sign in with the accounts of your organisation."
          columns={[
            { head: 'Name', cell: (one) => one.name },
            { head: 'Roles', cell: (one) => one.roles.join(', ') },
            { head: 'State', cell: (one) => <AccountState one={one} /> },
            { head: 'Made', cell: (one) => <When atMs={one.createdAtMs} /> },
            { head: 'Last signed in', cell: (one) => <When atMs={one.lastSignInAtMs} /> },
            {
              head: 'Change',
              cell: (one) =>
                canDisable && !isSame(one.name, self) ? (
                  <RowButton
                    action="/administration/accounts"
                    csrf={frame.csrf}
                    fields={{ name: one.name, disabled: one.disabled ? 'no' : 'yes' }}
                    label={one.disabled ? 'Enable' : 'Disable'}
                    named={one.name}
                  />
                ) : (
                  ''
                ),
            },
          ]}
        />
      </div>
    </Page>
  );
}

/** Whether two names mean one person, however they are written. */
function isSame(name: string, other: string | null | undefined): boolean {
  return other !== null && other !== undefined && personKey(name) === personKey(other);
}

function AccountState({ one }: { readonly one: AccountLine }): View {
  if (one.disabled) return <Badge tone="bad">disabled</Badge>;
  if (one.lockedUntilMs === null) return <Badge tone="good">active</Badge>;
  return (
    <Badge tone="warn">
      locked until <When atMs={one.lockedUntilMs} />
    </Badge>
  );
}
