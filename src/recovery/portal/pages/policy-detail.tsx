import { may } from '../../roles.js';
import type { PolicyDetail, PolicyHistoryLine } from '../../services.js';
import { Notice } from '../parts/badge.js';
import { CheckField, PostForm, Submit } from '../parts/form.js';
import { OutcomeNotice, type Outcome } from '../parts/outcome.js';
import { PolicyFields, type PolicyForm } from '../parts/policy-form.js';
import { sentence } from '../parts/sentence.js';
import { Page, type Frame } from '../parts/shell.js';
import { ADMINISTRATION_PAGES, SubNav } from '../parts/sub-nav.js';
import { Facts, Table } from '../parts/table.js';
import type { View } from '../parts/view.js';
import { When } from '../parts/when.js';
import { PolicyBadge, storesText, targetText } from './policy.js';

/** What the audit and this page call each change. */
const EVENTS: Readonly<Record<PolicyHistoryLine['event'], string>> = {
  CREATED: 'made',
  CHANGED: 'changed',
  DEPLOYED: 'deployed',
  RETIRED: 'retired',
  RING_OPENED: 'ring opened',
  RING_PAUSED: 'ring paused',
  RING_RESUMED: 'ring resumed',
};

/** One policy: what it says, what was done to it, and how it is changed. */
export function PolicyDetailPage({
  frame,
  policy,
  history,
  outcome,
  form,
}: {
  readonly frame: Frame;
  readonly policy: PolicyDetail;
  readonly history: readonly PolicyHistoryLine[];
  readonly outcome: Outcome;
  readonly form: PolicyForm;
}): View {
  const isOver = policy.state === 'RETIRED';
  const canChange = !isOver && frame.person !== null && may(frame.person, 'policy.change', 'other');
  return (
    <Page frame={frame} title={`Policy ${policy.name}`} section="administration">
      <SubNav
        label="Administration"
        pages={ADMINISTRATION_PAGES}
        person={frame.person}
        here="/administration/policy"
      />
      <p class="crumbs">
        <a href="/administration/policy">Policy and rings</a>
      </p>
      <div class="row">
        <h1 class="long-name">
          <bdi>{policy.name}</bdi>
        </h1>
        <PolicyBadge policy={policy} />
      </div>
      <div class="stack spaced">
        <OutcomeNotice outcome={outcome} />
        {policy.warnings.length === 0 ? null : (
          <Notice tone="warn" title="Look twice">
            <ul class="tip-list">
              {policy.warnings.map((warning) => (
                <li key={warning}>{sentence(warning)}</li>
              ))}
            </ul>
          </Notice>
        )}
        <div class="two">
          <section class="panel" aria-label="What it says">
            <Facts
              facts={[
                ['Mode', policy.mode.toLowerCase()],
                ['Machines', targetText(policy)],
                ['Stores', storesText(policy)],
                ['Checks', `every ${policy.checkIntervalMinutes} minutes`],
                ['MBAM migration', policy.mbamMigration ? 'yes' : 'no'],
                ['Made', <When atMs={policy.createdAtMs} />],
                ['Deployed', <When atMs={policy.deployedAtMs} absent="not yet" />],
                policy.retiredAtMs === null ? null : ['Retired', <When atMs={policy.retiredAtMs} />],
                ['Revision', String(policy.revision)],
                ['Id', <span class="code">{policy.policyId}</span>],
              ]}
            />
          </section>
          {canChange ? <Steps policy={policy} csrf={frame.csrf} /> : null}
        </div>
        {policy.rings.length === 0 ? null : <RingSettings policy={policy} />}
        {canChange ? (
          <details class="panel" open={outcome.problem !== null}>
            <summary>Change it</summary>
            <PostForm action={`/administration/policy/${policy.policyId}/set`} csrf={frame.csrf}>
              <input type="hidden" name="revision" value={String(policy.revision)} />
              <PolicyFields form={form} errors={outcome.problem?.fields ?? {}} />
              <div class="row">
                <Submit>Save the change</Submit>
              </div>
            </PostForm>
          </details>
        ) : null}
        <Table
          caption="What was done to it, the newest first"
          rows={history}
          keyOf={(line) => String(line.revision)}
          empty="Nothing yet."
          columns={[
            { head: 'When', cell: (line) => <When atMs={line.atMs} /> },
            { head: 'What', cell: (line) => EVENTS[line.event] },
            { head: 'By', cell: (line) => <bdi>{line.by}</bdi> },
            { head: 'Said', cell: (line) => <span class="any-break">{line.detail}</span> },
          ]}
        />
      </div>
    </Page>
  );
}

/** Deploying a draft, and retiring for good. */
function Steps({ policy, csrf }: { readonly policy: PolicyDetail; readonly csrf: string }): View {
  const at = `/administration/policy/${policy.policyId}`;
  return (
    <section class="panel stack" aria-labelledby="steps-title">
      <h2 id="steps-title">{policy.state === 'DRAFT' ? 'It applies to nobody yet' : 'It applies'}</h2>
      {policy.state === 'DRAFT' ? (
        <PostForm action={`${at}/deploy`} csrf={csrf}>
          <input type="hidden" name="revision" value={String(policy.revision)} />
          <p class="hint">Turns the recovery service on for its machines.</p>
          <div class="row">
            <Submit>Deploy it</Submit>
          </div>
        </PostForm>
      ) : null}
      <details>
        <summary>Retire it</summary>
        <PostForm action={`${at}/retire`} csrf={csrf}>
          <input type="hidden" name="revision" value={String(policy.revision)} />
          <CheckField
            name="sure"
            label="I mean to end this policy for good"
            hint="Machines that no other policy reaches can store no key any more. Stored keys stay readable."
            required
          />
          <div class="row">
            <Submit tone="bad" small>
              Retire for good
            </Submit>
          </div>
        </PostForm>
      </details>
    </section>
  );
}

function RingSettings({ policy }: { readonly policy: PolicyDetail }): View {
  return (
    <Table
      caption="Rings"
      rows={policy.rings}
      keyOf={(ring) => ring.tag}
      empty=""
      columns={[
        { head: 'Ring', cell: (ring) => String(ring.position) },
        { head: 'Tag', cell: (ring) => <span class="code">{ring.tag}</span> },
        { head: 'State', cell: (ring) => ring.state.toLowerCase() },
        {
          head: 'Opens',
          cell: (ring) => (ring.opens === 'BY_HAND' ? 'by hand' : 'after the one before it'),
        },
        { head: 'Pauses above', cell: (ring) => `${ring.failureLimit / 10} %`, number: true },
        { head: 'Soaks', cell: (ring) => hoursText(ring.soakMinutes), number: true },
        { head: 'Rotations an hour', cell: (ring) => String(ring.rotationsPerHour), number: true },
      ]}
    />
  );
}

function hoursText(minutes: number): string {
  return minutes % 60 === 0 ? `${minutes / 60} h` : `${minutes} min`;
}
