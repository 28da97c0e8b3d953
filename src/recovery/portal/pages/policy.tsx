import { may } from '../../roles.js';
import type { PolicyDetail, RingLine } from '../../services.js';
import { Badge, type Tone } from '../parts/badge.js';
import { OutcomeNotice, type Outcome } from '../parts/outcome.js';
import { PolicyFields, type PolicyForm } from '../parts/policy-form.js';
import { PostForm, Submit } from '../parts/form.js';
import { Ring } from '../parts/rings.js';
import { Page, type Frame } from '../parts/shell.js';
import { ADMINISTRATION_PAGES, SubNav } from '../parts/sub-nav.js';
import { Table } from '../parts/table.js';
import type { View } from '../parts/view.js';

const STATES = {
  DRAFT: ['warn', 'draft'],
  DEPLOYED: ['good', 'deployed'],
  RETIRED: ['quiet', 'retired'],
} as const satisfies Readonly<Record<PolicyDetail['state'], readonly [Tone, string]>>;

/** The state of a policy, in a word. */
export function PolicyBadge({ policy }: { readonly policy: PolicyDetail }): View {
  const [tone, word] = STATES[policy.state];
  return <Badge tone={tone}>{word}</Badge>;
}

/** Which machines a policy is for. */
export function targetText({ targetTag, rings }: PolicyDetail): string {
  if (rings.length > 0) return rings.length === 1 ? 'one ring' : `${rings.length} rings`;
  return targetTag === null ? 'all' : `tag ${targetTag}`;
}

/** What a policy lets machines store here. */
export function storesText(policy: PolicyDetail): string {
  const parts = [policy.storePackages ? 'passwords and packages' : 'passwords'];
  if (policy.removableDrives) parts.push('removable drives too');
  if (policy.tpmOwnerAuth) parts.push('TPM passwords');
  return parts.join(', ');
}

/** Policies and the rings in which they reach machines. */
export function PolicyPage({
  frame,
  policies,
  rings,
  outcome,
  form,
}: {
  readonly frame: Frame;
  readonly policies: readonly PolicyDetail[];
  readonly rings: readonly RingLine[];
  readonly outcome: Outcome;
  /** What was typed before. */
  readonly form: PolicyForm;
}): View {
  const canChange = frame.person !== null && may(frame.person, 'policy.change', 'other');
  const ringed = policies.filter((policy) => policy.rings.length > 0);
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
        A deployed policy turns the recovery service on for its machines; rings let them begin one group after
        the other.
      </p>
      <div class="stack spaced">
        <OutcomeNotice outcome={outcome} />
        <Table
          caption="Policies"
          rows={policies}
          keyOf={(policy) => policy.policyId}
          empty="There is no policy: no machine can store a key until one is made and deployed."
          columns={[
            {
              head: 'Name',
              cell: (policy) => (
                <a href={`/administration/policy/${policy.policyId}`}>
                  <bdi>{policy.name}</bdi>
                </a>
              ),
            },
            { head: 'State', cell: (policy) => <PolicyBadge policy={policy} /> },
            { head: 'Mode', cell: (policy) => policy.mode.toLowerCase() },
            { head: 'Machines', cell: targetText },
            { head: 'Stores', cell: storesText },
            { head: 'Checks every', cell: (policy) => `${policy.checkIntervalMinutes} min`, number: true },
            { head: 'MBAM migration', cell: (policy) => (policy.mbamMigration ? 'yes' : 'no') },
          ]}
        />
        <section aria-labelledby="rings-title" class="stack">
          <h2 id="rings-title">Rings</h2>
          {ringed.length === 0 ? (
            <div class="empty">No policy has rings: each reaches all its machines at once.</div>
          ) : (
            ringed.map((policy) => (
              <RingsOf policy={policy} rings={rings} csrf={frame.csrf} canChange={canChange} />
            ))
          )}
        </section>
        {canChange ? (
          <details class="panel" open={outcome.problem !== null && form.name !== ''}>
            <summary>Make a policy</summary>
            <PostForm action="/administration/policy" csrf={frame.csrf}>
              <PolicyFields form={form} errors={outcome.problem?.fields ?? {}} />
              <div class="row">
                <Submit>Save the draft</Submit>
              </div>
            </PostForm>
          </details>
        ) : null}
      </div>
    </Page>
  );
}

function RingsOf({
  policy,
  rings,
  csrf,
  canChange,
}: {
  readonly policy: PolicyDetail;
  readonly rings: readonly RingLine[];
  readonly csrf: string;
  readonly canChange: boolean;
}): View {
  const own = rings.filter(({ ringId }) => ringId.startsWith(`${policy.policyId}.`));
  return (
    <div class="stack">
      <h3>
        Policy <bdi>{policy.name}</bdi>
      </h3>
      <div class="cards">
        {own.map((ring) => (
          <Ring ring={ring} policy={policy} csrf={csrf} canChange={canChange} key={ring.ringId} />
        ))}
      </div>
    </div>
  );
}
