import { may } from '../../roles.js';
import type { PolicyLine, RingLine } from '../../services.js';
import { Badge, type Tone } from '../parts/badge.js';
import { BarLine } from '../parts/bars.js';
import { CheckField, PostForm, SelectField, Submit, TextField } from '../parts/form.js';
import { Page, type Frame } from '../parts/shell.js';
import { ADMINISTRATION_PAGES, SubNav } from '../parts/sub-nav.js';
import { Facts, Table } from '../parts/table.js';
import type { View } from '../parts/view.js';

const MODES = [
  ['OBSERVE', 'Observe: list what there is'],
  ['ESCROW', 'Escrow: store keys'],
  ['MANAGE', 'Manage: store keys and replace them'],
] as const satisfies readonly (readonly [PolicyLine['mode'], string])[];

const RING_TONES: Readonly<Record<RingLine['state'], Tone>> = {
  WAITING: 'quiet',
  RUNNING: 'accent',
  PAUSED: 'warn',
  DONE: 'good',
};

/** Policies and the rings in which they reach machines. */
export function PolicyPage({
  frame,
  policies,
  rings,
}: {
  readonly frame: Frame;
  readonly policies: readonly PolicyLine[];
  readonly rings: readonly RingLine[];
}): View {
  const canChange = frame.person !== null && may(frame.person, 'policy.change', 'other');
  return (
    <Page frame={frame} title="Policy and rings" section="administration">
      <SubNav
        label="Administration"
        pages={ADMINISTRATION_PAGES}
        person={frame.person}
        here="/administration/policy"
      />
      <h1>Policy and rings</h1>
      <p class="lead">
        A policy turns the recovery service on for machines with its tag; rings spread it slowly.
      </p>
      <div class="stack spaced">
        <Table
          caption="Policies"
          rows={policies}
          keyOf={(policy) => policy.policyId}
          empty="There is no policy: escrow is refused until one is made."
          columns={[
            { head: 'Name', cell: (policy) => policy.name },
            { head: 'Mode', cell: (policy) => <Badge tone="accent">{policy.mode.toLowerCase()}</Badge> },
            {
              head: 'Machines',
              cell: (policy) => (policy.targetTag === null ? 'all' : `tag ${policy.targetTag}`),
            },
            { head: 'Stores', cell: storesText },
            { head: 'Checks every', cell: (policy) => `${policy.checkIntervalMinutes} min`, number: true },
            { head: 'MBAM migration', cell: (policy) => (policy.mbamMigration ? 'yes' : 'no') },
          ]}
        />
        <section aria-labelledby="rings-title" class="stack">
          <h2 id="rings-title">Rings</h2>
          {rings.length === 0 ? (
            <div class="empty">No rings: the policy reaches all its machines at once.</div>
          ) : (
            rings.map((ring) => (
              <Ring ring={ring} csrf={frame.csrf} canChange={canChange} key={ring.ringId} />
            ))
          )}
        </section>
        {canChange ? <PolicyForm csrf={frame.csrf} /> : null}
      </div>
    </Page>
  );
}

function storesText(policy: PolicyLine): string {
  const parts = [policy.storePackages ? 'passwords and packages' : 'passwords'];
  if (policy.removableDrives) parts.push('removable drives too');
  if (policy.tpmOwnerAuth) parts.push('TPM passwords');
  return parts.join(', ');
}

function Ring({
  ring,
  csrf,
  canChange,
}: {
  readonly ring: RingLine;
  readonly csrf: string;
  readonly canChange: boolean;
}): View {
  const change = ring.state === 'RUNNING' ? 'PAUSE' : ring.state === 'PAUSED' ? 'RESUME' : null;
  return (
    <div class="panel stack">
      <div class="row row-apart">
        <h3>
          {ring.order}. {ring.name}
        </h3>
        <Badge tone={RING_TONES[ring.state]}>{ring.state.toLowerCase()}</Badge>
      </div>
      <BarLine label="Reached" part={ring.reached} whole={ring.machines} tone="good" />
      <BarLine
        label={`Failed (pauses above ${ring.failureLimit} %)`}
        part={ring.failed}
        whole={ring.reached}
        tone="bad"
      />
      <Facts
        facts={[
          ['Tag', <span class="code">{ring.tag}</span>],
          ring.detail === '' ? null : ['State', ring.detail],
        ]}
      />
      {change === null || !canChange ? null : (
        <PostForm action="/administration/rings" csrf={csrf} className="ring-change">
          <input type="hidden" name="ring" value={ring.ringId} />
          <input type="hidden" name="change" value={change} />
          <Submit tone="plain" small>
            {change === 'PAUSE' ? 'Pause' : 'Resume'}
            <span class="hidden-text"> ring {ring.name}</span>
          </Submit>
        </PostForm>
      )}
    </div>
  );
}

function PolicyForm({ csrf }: { readonly csrf: string }): View {
  return (
    <details class="panel">
      <summary>Make or change a policy</summary>
      <PostForm action="/administration/policy" csrf={csrf}>
        <div class="field-pair">
          <TextField
            name="name"
            label="Name"
            hint="The name of an existing policy changes it."
            maxLength={100}
          />
          <TextField
            name="tag"
            label="Tag of its machines"
            hint="Empty: all machines."
            maxLength={64}
            optional
          />
        </div>
        <SelectField name="mode" label="Mode" options={MODES} value="ESCROW" />
        <TextField
          name="interval"
          label="Minutes between checks"
          hint="1 to 2880; below 60 costs the site much."
          type="number"
          min={1}
          max={2880}
          value="90"
        />
        <CheckField name="packages" label="Store key packages too" checked />
        <CheckField name="removable" label="Store keys of removable drives" checked />
        <CheckField name="tpm" label="Store TPM passwords" />
        <CheckField
          name="mbam"
          label="MBAM migration"
          hint="Takes what MBAM stored, counts it as exposed, and has it replaced."
        />
        <div class="row">
          <Submit>Save the policy</Submit>
        </div>
      </PostForm>
    </details>
  );
}
