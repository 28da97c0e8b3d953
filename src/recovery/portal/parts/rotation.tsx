import { assertNever } from '../../../ops/errors.js';
import type { RotationState as RotationStateName } from '../../rotation/state.js';
import type { RotationLine } from '../../services.js';
import { Badge, Notice, type Tone } from './badge.js';
import { KeyId } from './key-state.js';
import { sentence } from './sentence.js';
import type { View } from './view.js';
import { When } from './when.js';

/** What colours a state of a rotation. */
export function toneOf(state: RotationStateName): Tone {
  switch (state) {
    case 'COMPLETED':
      return 'good';
    case 'REQUIRED':
    case 'DELIVERED':
    case 'ESCROWED':
      return 'accent';
    case 'AT_RISK':
    case 'FAILED':
      return 'bad';
    case 'REPLACED':
    case 'ABANDONED':
      return 'quiet';
    default:
      return assertNever(state);
  }
}

/** A state in the word that documents use. */
export function RotationBadge({ line }: { readonly line: Pick<RotationLine, 'state' | 'overdue'> }): View {
  return (
    <span class="badges">
      <Badge tone={toneOf(line.state)}>{line.state.replace('_', ' ')}</Badge>
      {line.overdue ? <Badge tone="bad">Overdue</Badge> : null}
    </span>
  );
}

/** Whether nothing more will happen. */
export function rotationEnded(state: RotationStateName): boolean {
  return state === 'COMPLETED' || state === 'REPLACED' || state === 'ABANDONED';
}

/** How many of the steps below are done. */
const DONE: Readonly<Record<RotationStateName, number>> = {
  REQUIRED: 1,
  FAILED: 2,
  AT_RISK: 2,
  DELIVERED: 2,
  ESCROWED: 3,
  COMPLETED: 4,
  REPLACED: 4,
  ABANDONED: 1,
};

/** Each as it is to come, and as it was done. */
const STEPS = [
  ['The key is shown', 'The key was shown'],
  ['The machine is told to make a new key', 'The machine was told to make a new key'],
  ['The new key comes and is stored here', 'The new key is stored here'],
  ['The shown key stops working', 'The shown key opens the drive no more'],
] as const;

/** What a state means for whoever reads the key out or types it; the rest is told as it is. */
function meaningOf({ state, detail }: Pick<RotationLine, 'state' | 'detail'>): string {
  switch (state) {
    case 'REQUIRED':
      return detail.startsWith('waits for the next message')
        ? 'The machine hears of it when it is on the network next.'
        : sentence(detail);
    case 'DELIVERED':
      return detail.startsWith('the client was told; it has not')
        ? 'The machine knows. It has not sent its new key yet.'
        : sentence(detail);
    case 'ESCROWED':
      return detail.startsWith('the new key is committed')
        ? 'The new key is safe here. The machine has not said yet that the shown one is gone.'
        : sentence(detail);
    case 'COMPLETED':
      return 'The machine has a new key, which is safe here. The shown one opens nothing any more.';
    case 'AT_RISK':
    case 'FAILED':
    case 'REPLACED':
    case 'ABANDONED':
      return sentence(detail);
    default:
      return assertNever(state);
  }
}

/** How the rotation of one key stands; the script brings the newest state into its place. */
export function RotationState({ line }: { readonly line: RotationLine }): View {
  const done = DONE[line.state];
  const ended = rotationEnded(line.state);
  return (
    <div class="stack-tight" data-rotation={line.state} data-ended={ended ? 'yes' : undefined}>
      <div class="row">
        <RotationBadge line={line} />
      </div>
      <p>{meaningOf(line)}</p>
      {line.state === 'REPLACED' || line.state === 'ABANDONED' ? null : (
        <ol class="steps" aria-label="Steps of the rotation">
          {STEPS.map(([comes, happened], index) => (
            <li class={index < done ? 'done' : index === done ? 'now' : undefined} key={comes}>
              <span>
                {index < done ? happened : comes}
                <span class="hidden-text">
                  {index < done ? ', done' : index === done ? ', comes next' : ', not yet'}
                </span>
              </span>
            </li>
          ))}
        </ol>
      )}
      {line.newKeyId === null ? null : (
        <p class="small">
          New key ID <KeyId id={line.newKeyId} />
        </p>
      )}
      {ended ? null : (
        <p class="soft small">
          Due <When atMs={line.deadlineMs} />
        </p>
      )}
    </div>
  );
}

/** The rotation on a page: it renews itself by script; without, the link shows the newest state. */
export function RotationPanel({
  line,
  href,
}: {
  readonly line: RotationLine | null;
  /** Its page; null where no rotation was asked for. */
  readonly href: string | null;
}): View {
  return (
    <section class="panel no-print" aria-labelledby="rotation-title">
      <h2 id="rotation-title">New key for {line === null ? 'the machine' : <bdi>{line.machineName}</bdi>}</h2>
      {href === null ? (
        <Notice tone="quiet" title="Nothing to replace">
          No machine is known to hold this key any more.
        </Notice>
      ) : line === null ? (
        <Notice tone="warn" title="A new key was asked for">
          How it stands cannot be read at this moment. <a href={href}>Look again</a>
        </Notice>
      ) : (
        <>
          <div data-watch={href} aria-live="polite">
            <RotationState line={line} />
          </div>
          <p class="small" data-watch-link>
            <a href={href}>Follow it on a page of its own</a>
          </p>
        </>
      )}
    </section>
  );
}
