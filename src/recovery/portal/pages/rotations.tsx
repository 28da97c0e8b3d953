import { may } from '../../roles.js';
import { ROTATION_STATES } from '../../rotation/state.js';
import type { RotationLine } from '../../services.js';
import { BarLine } from '../parts/bars.js';
import { CheckField, PostForm, SelectField, Submit, TextField } from '../parts/form.js';
import { KeyId } from '../parts/key-state.js';
import { OutcomeNotice, type Outcome } from '../parts/outcome.js';
import { RotationBadge, rotationEnded, toneOf } from '../parts/rotation.js';
import { sentence } from '../parts/sentence.js';
import { Page, type Frame } from '../parts/shell.js';
import { ADMINISTRATION_PAGES, SubNav } from '../parts/sub-nav.js';
import { Table, type Column } from '../parts/table.js';
import type { View } from '../parts/view.js';
import { When } from '../parts/when.js';

/** Which rotations are listed. */
export interface RotationForm {
  readonly machine: string;
  readonly show: 'open' | 'overdue' | 'all';
}

/** What an operator asks to have replaced. */
export interface RequestForm {
  readonly kind: 'clients' | 'volume';
  readonly ids: string;
  readonly days: string;
  readonly perHour: string;
}

export const NEW_REQUEST: RequestForm = { kind: 'clients', ids: '', days: '14', perHour: '100' };

/** Rotations: what waits, what is late, and what an operator does about it. */
export function RotationsPage({
  frame,
  form,
  lines,
  limit,
  outcome,
  request,
}: {
  readonly frame: Frame;
  readonly form: RotationForm;
  readonly lines: readonly RotationLine[];
  readonly limit: number;
  readonly outcome: Outcome;
  /** What was typed before. */
  readonly request: RequestForm;
}): View {
  const { person } = frame;
  return (
    <Page frame={frame} title="Rotations" section="administration" wide>
      <SubNav
        label="Administration"
        pages={ADMINISTRATION_PAGES}
        person={person}
        here="/administration/rotations"
      />
      <h1>Rotations</h1>
      <p class="lead">Machines that must make a new key, and how far they are.</p>
      <div class="stack spaced">
        <OutcomeNotice outcome={outcome} />
        <Filters form={form} />
        {lines.length === 0 ? null : <States lines={lines} limit={limit} />}
        <Table
          caption="Rotations"
          columns={columnsFor(frame)}
          rows={lines}
          keyOf={(line) => line.requestId}
          empty={
            form.show === 'open' && form.machine === ''
              ? 'No key waits to be replaced.'
              : 'No rotation fits these filters.'
          }
        />
        {person !== null && may(person, 'rotation.request', 'other') ? (
          <RequestPanel csrf={frame.csrf} form={request} errors={outcome.problem?.fields ?? {}} />
        ) : null}
      </div>
    </Page>
  );
}

function Filters({ form }: { readonly form: RotationForm }): View {
  return (
    <form method="get" action="/administration/rotations" class="panel filters" aria-label="Filters">
      <SelectField
        name="show"
        label="Show"
        options={[
          ['open', 'Open'],
          ['overdue', 'Overdue'],
          ['all', 'All'],
        ]}
        value={form.show}
      />
      <TextField name="machine" label="Machine" value={form.machine} optional plain />
      <div class="row">
        <Submit tone="plain">Apply</Submit>
      </div>
    </form>
  );
}

function States({ lines, limit }: { readonly lines: readonly RotationLine[]; readonly limit: number }): View {
  const counts = ROTATION_STATES.map((state) => ({
    state,
    part: lines.filter((line) => line.state === state).length,
  })).filter(({ part }) => part > 0);
  return (
    <section class="panel stack" aria-labelledby="states-title">
      <h2 id="states-title">
        {lines.length >= limit ? `States of the first ${limit}` : `States of these ${lines.length}`}
      </h2>
      <ul class="bar-list">
        {counts.map(({ state, part }) => (
          <li key={state}>
            <BarLine
              label={state.replace('_', ' ')}
              part={part}
              whole={lines.length}
              tone={toneOf(state) === 'bad' ? 'bad' : 'good'}
            />
          </li>
        ))}
      </ul>
    </section>
  );
}

function columnsFor(frame: Frame): readonly Column<RotationLine>[] {
  const { person, csrf } = frame;
  const columns: Column<RotationLine>[] = [
    { head: 'Machine', cell: (line) => line.machineName },
    { head: 'State', cell: (line) => <RotationBadge line={line} /> },
    { head: 'What it waits for', cell: (line) => sentence(line.detail) },
    { head: 'Key ID', cell: (line) => <KeyId id={line.keyId} /> },
    { head: 'Since', cell: (line) => <When atMs={line.openedAtMs} /> },
    {
      head: 'Due',
      cell: (line) =>
        line.closedAtMs === null ? (
          <When atMs={line.deadlineMs} />
        ) : (
          <>
            ended <When atMs={line.closedAtMs} />
          </>
        ),
    },
    { head: 'Because of', cell: (line) => line.origin.toLowerCase() },
  ];
  if (person === null || !may(person, 'rotation.abandon', 'other')) return columns;
  return [
    ...columns,
    {
      head: 'Give up',
      cell: (line) => (rotationEnded(line.state) ? '' : <AbandonForm line={line} csrf={csrf} />),
    },
  ];
}

function AbandonForm({ line, csrf }: { readonly line: RotationLine; readonly csrf: string }): View {
  const id = `why-${line.requestId}`;
  return (
    <details>
      <summary>
        Give up<span class="hidden-text"> the rotation of {line.machineName}</span>
      </summary>
      <PostForm
        action={`/administration/rotations/${line.requestId}/abandon`}
        csrf={csrf}
        className="form wide"
      >
        <div class="field">
          <label for={id}>Why</label>
          <input id={id} name="reason" type="text" required maxlength={256} />
          <span class="hint">The key stays exposed.</span>
        </div>
        <Submit tone="bad" small>
          Give it up
        </Submit>
      </PostForm>
    </details>
  );
}

function RequestPanel({
  csrf,
  form,
  errors,
}: {
  readonly csrf: string;
  readonly form: RequestForm;
  readonly errors: Readonly<Record<string, string>>;
}): View {
  return (
    <section class="panel stack" aria-labelledby="request-title">
      <h2 id="request-title">Have keys replaced</h2>
      <PostForm action="/administration/rotations/request" csrf={csrf}>
        <SelectField
          name="kind"
          label="What"
          options={[
            ['clients', 'Machines, by client id'],
            ['volume', 'One volume, by its id'],
          ]}
          value={form.kind}
        />
        <TextField
          name="ids"
          label="Ids"
          hint="Separated by blanks or commas; a hundred at most. Longer lists: mpe rotations request."
          value={form.ids}
          maxLength={4000}
          code
          error={errors['ids']}
        />
        <div class="field-pair">
          <TextField
            name="days"
            label="Within days"
            type="number"
            min={1}
            max={365}
            value={form.days}
            error={errors['days']}
          />
          <TextField
            name="perHour"
            label="Machines an hour"
            type="number"
            min={1}
            max={10_000}
            value={form.perHour}
            error={errors['perHour']}
          />
        </div>
        <CheckField name="sure" label="I mean to have these keys replaced" required />
        <div class="row">
          <Submit>Request</Submit>
        </div>
      </PostForm>
    </section>
  );
}
