import { assertNever } from '../../../ops/errors.js';
import type { PolicyDetail, RingChange, RingLine } from '../../services.js';
import { Badge, type Tone } from './badge.js';
import { BarLine, count } from './bars.js';
import { PostForm, Submit } from './form.js';
import { Facts } from './table.js';
import type { View } from './view.js';
import { When } from './when.js';

interface RingProps {
  readonly ring: RingLine;
  readonly policy: PolicyDetail;
  readonly csrf: string;
  readonly canChange: boolean;
}

/** One ring: how far it is, how it does, and what an operator may do with it. */
export function Ring(props: RingProps): View {
  const { ring, policy } = props;
  const { openedAtMs = null, pausedAtMs = null } =
    policy.rings.find(({ position }) => position === ring.order) ?? {};
  const [tone, word] = stateOf(ring);
  const title = `ring-${ring.ringId.replaceAll('.', '-')}`;
  return (
    <section class="panel stack" aria-labelledby={title}>
      <div class="row row-apart">
        <h4 id={title}>
          Ring {ring.order}: <bdi>{ring.tag}</bdi>{' '}
          <span class="soft">
            ({count(ring.machines)} {ring.machines === 1 ? 'machine' : 'machines'})
          </span>
        </h4>
        <Badge tone={tone}>{word}</Badge>
      </div>
      {ring.state === 'WAITING' ? null : <Progress ring={ring} />}
      <Facts
        facts={[
          openedAtMs === null ? null : ['Opened', <When atMs={openedAtMs} />],
          pausedAtMs === null ? null : ['Paused', <When atMs={pausedAtMs} />],
          ring.detail === '' ? null : ['Because', ring.detail],
          ['Pauses by itself', `above ${ring.failureLimit} % failed`],
        ]}
      />
      {props.canChange ? <Control {...props} /> : null}
    </section>
  );
}

function stateOf({ state, machines }: RingLine): readonly [Tone, string] {
  switch (state) {
    case 'WAITING':
      return ['quiet', 'not open yet'];
    case 'RUNNING':
      return ['accent', 'open'];
    case 'PAUSED':
      return ['warn', 'paused'];
    case 'DONE':
      // Of no machine all were heard: that is no success to tell of.
      return machines === 0 ? ['accent', 'open'] : ['good', 'open, all heard from'];
    default:
      return assertNever(state);
  }
}

function Progress({ ring }: { readonly ring: RingLine }): View {
  if (ring.machines === 0)
    return <p class="soft">No machine has this tag yet, so nothing can be said of how it does.</p>;
  return (
    <div class="stack-tight">
      <BarLine label="Heard from since it opened" part={ring.reached} whole={ring.machines} tone="good" />
      {ring.reached === 0 ? null : (
        <BarLine label="Failed, of those" part={ring.failed} whole={ring.reached} tone="bad" />
      )}
    </div>
  );
}

/** The one thing that may be done with a ring now, or why nothing may. */
function Control({ ring, policy, csrf }: RingProps): View {
  switch (ring.state) {
    case 'RUNNING':
    case 'DONE':
      return <PauseForm ring={ring} csrf={csrf} />;
    case 'PAUSED':
      return <ChangeForm ring={ring} csrf={csrf} change="RESUME" label="Resume" />;
    case 'WAITING': {
      const why = closedBecause(ring, policy);
      return why === null ? (
        <ChangeForm ring={ring} csrf={csrf} change="OPEN" label="Open" />
      ) : (
        <p class="hint">{why}</p>
      );
    }
    default:
      return assertNever(ring.state);
  }
}

/** Why a ring cannot be opened now; the service judges it again. */
function closedBecause(ring: RingLine, policy: PolicyDetail): string | null {
  if (policy.state !== 'DEPLOYED') return 'The policy is a draft: deploy it before a ring opens.';
  const before = policy.rings.find(({ position, state }) => position < ring.order && state !== 'OPEN');
  if (before === undefined) return null;
  return before.state === 'PAUSED'
    ? `Ring ${before.position} is paused: nothing opens behind it.`
    : `Rings open in their order: ring ${before.position} first.`;
}

function ChangeForm({
  ring,
  csrf,
  change,
  label,
}: {
  readonly ring: RingLine;
  readonly csrf: string;
  readonly change: RingChange;
  readonly label: string;
}): View {
  return (
    <PostForm action="/administration/rings" csrf={csrf} className="row">
      <input type="hidden" name="ring" value={ring.ringId} />
      <input type="hidden" name="change" value={change} />
      <Submit tone={change === 'OPEN' ? 'main' : 'plain'} small>
        {label}
        <span class="hidden-text"> {ring.name}</span>
      </Submit>
    </PostForm>
  );
}

function PauseForm({ ring, csrf }: { readonly ring: RingLine; readonly csrf: string }): View {
  const id = `why-${ring.ringId.replaceAll('.', '-')}`;
  return (
    <details>
      <summary>
        Pause<span class="hidden-text"> {ring.name}</span>
      </summary>
      <PostForm action="/administration/rings" csrf={csrf}>
        <input type="hidden" name="ring" value={ring.ringId} />
        <input type="hidden" name="change" value="PAUSE" />
        <div class="field">
          <label for={id}>
            Why<span class="optional"> (optional)</span>
          </label>
          <input id={id} name="reason" type="text" maxlength={200} autocomplete="off" />
        </div>
        <div class="row">
          <Submit tone="bad" small>
            Pause it now
          </Submit>
        </div>
      </PostForm>
    </details>
  );
}
