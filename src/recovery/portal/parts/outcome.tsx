import { Notice } from './badge.js';
import type { View } from './view.js';

/** Why a form came to nothing. */
export interface Problem {
  readonly title: string;
  /** A sentence each. */
  readonly sentences: readonly string[];
  readonly status: number;
  /** What is wrong with which field, by the field's name. */
  readonly fields: Readonly<Record<string, string>>;
}

/** What a form did, as the page behind it says it. The address names one of these words alone. */
const DONE = {
  'policy-made': 'The draft is saved. It applies to no machine until it is deployed.',
  'policy-changed': 'The policy is changed. Each machine learns of it with its next check.',
  'policy-deployed': 'The policy is deployed. Each machine learns of it with its next check.',
  'policy-retired': 'The policy is retired. Keys that were stored under it stay readable.',
  'ring-opened': 'The ring is open.',
  'ring-paused': 'The ring is paused. What was begun in it goes on, nothing new is begun.',
  'ring-resumed': 'The ring goes on. Its failures are counted from now.',
  'client-approved': 'The machine is registered. It learns of it when it asks next.',
  'client-rejected': 'The registration is dropped. The machine may ask again.',
  'rotation-requested': 'The keys are asked for. Each machine hears of it with its next message.',
  'rotation-abandoned': 'The rotation is given up. Its key stays exposed.',
  'incident-proposed': 'The incident is proposed. A second person confirms it.',
  'incident-confirmed': 'The incident is open.',
  'incident-ended': 'The incident is over. Its keys are replaced one machine after the other.',
  'account-disabled': 'The account is disabled, and its sessions are over.',
  'account-enabled': 'The account may sign in again.',
} as const;

/** What a form did. */
export type Done = keyof typeof DONE;

/** Reads the word from an address; null for any other. */
export function doneOf(text: string): Done | null {
  return Object.hasOwn(DONE, text) ? (text as Done) : null;
}

/** What came of a form, above the page that it stands on; nothing where none was sent. */
export interface Outcome {
  readonly done: Done | null;
  readonly problem: Problem | null;
}

export const NO_OUTCOME: Outcome = { done: null, problem: null };

/** The outcome has the focus, so that it is read first and the keyboard goes on from here. */
export function OutcomeNotice({ outcome: { done, problem } }: { readonly outcome: Outcome }): View {
  if (problem !== null)
    return (
      <div class="outcome" role="alert" tabindex={-1} autofocus>
        <Notice tone="bad" title={problem.title}>
          {problem.sentences.length === 1 ? (
            problem.sentences[0]
          ) : (
            <ul class="tip-list">
              {problem.sentences.map((one) => (
                <li key={one}>{one}</li>
              ))}
            </ul>
          )}
        </Notice>
      </div>
    );
  if (done === null) return <></>;
  return (
    <div class="outcome" role="status" tabindex={-1} autofocus>
      <Notice tone="good" title={DONE[done]} />
    </div>
  );
}
