import { mustNameUser } from '../../roles.js';
import type { KeyLine } from '../../services.js';
import { Notice } from '../parts/badge.js';
import { PostForm, SelectField, Submit, TextField } from '../parts/form.js';
import { KeyChoices } from '../parts/key-choice.js';
import { Page, type Frame } from '../parts/shell.js';
import type { View } from '../parts/view.js';

/** What somebody typed into the first form. */
export interface RecoverForm {
  readonly domain: string;
  readonly account: string;
  readonly digits: string;
}

/** Why the form is shown again. */
export interface FormProblem {
  readonly field: 'digits' | 'account' | null;
  readonly title: string;
  readonly detail: string;
}

/** Drive recovery, first step: who calls, and which key. */
export function RecoverPage({
  frame,
  form,
  problem,
}: {
  readonly frame: Frame;
  readonly form: RecoverForm;
  readonly problem: FormProblem | null;
}): View {
  const userNeeded = frame.person !== null && mustNameUser(frame.person, 'key.search');
  return (
    <Page frame={frame} title="Drive recovery" section="recovery">
      <h1>Drive recovery</h1>
      <p class="lead">
        Find the recovery key of a drive that asks for it. The key itself comes two steps from here.
      </p>
      <div class="two spaced">
        <div class="panel">
          <PostForm action="/helpdesk/search" csrf={frame.csrf}>
            {problem === null ? null : (
              <Notice tone="bad" title={problem.title} live>
                {problem.detail}
              </Notice>
            )}
            <TextField
              name="digits"
              label="Recovery key ID"
              hint="The first 8 characters of the ID on the blue screen are enough, all 32 name one key. Capitals, dashes and braces do not matter."
              value={form.digits}
              error={problem?.field === 'digits' ? 'Please look at this once more.' : undefined}
              maxLength={60}
              code
              focus
            />
            <div class="field-pair">
              <TextField
                name="domain"
                label="Domain of the user"
                value={form.domain}
                optional={!userNeeded}
                error={problem?.field === 'account' ? 'This is needed.' : undefined}
              />
              <TextField
                name="account"
                label="Account of the user"
                value={form.account}
                optional={!userNeeded}
                error={problem?.field === 'account' ? 'This is needed.' : undefined}
              />
            </div>
            <p class="hint">
              {userNeeded
                ? 'Keys of machines that this user signed in to are found, and no others.'
                : 'With a user, keys of that user’s machines alone are found; without, those of all machines.'}
            </p>
            <div class="row">
              <Submit>Find keys</Submit>
            </div>
          </PostForm>
        </div>
        <CallAids />
      </div>
    </Page>
  );
}

/** What helps during a call. */
function CallAids(): View {
  return (
    <aside class="panel panel-plain" aria-labelledby="aids-title">
      <h2 id="aids-title">On the phone</h2>
      <ol class="tip-list">
        <li>Make sure who is calling, as your rules say.</li>
        <li>
          Ask for the <strong>recovery key ID</strong> on the screen: it has letters A to F and digits, never
          O or I.
        </li>
        <li>Let the person read it to you twice; compare the machine’s name.</li>
        <li>
          Does the machine refuse what they typed? <a href="/helpdesk/typing">Find the mistyped group</a>.
        </li>
      </ol>
    </aside>
  );
}

/** Drive recovery, second step: which of the keys, and why. */
export function MatchesPage({
  frame,
  form,
  keys,
  more,
  reasons,
}: {
  readonly frame: Frame;
  readonly form: RecoverForm;
  readonly keys: readonly KeyLine[];
  readonly more: boolean;
  readonly reasons: readonly string[];
}): View {
  return (
    <Page frame={frame} title="Keys found" section="recovery">
      <p class="crumbs">
        <a href="/helpdesk">Drive recovery</a>
      </p>
      <h1>{keys.length === 1 ? 'One key found' : `${keys.length} keys found`}</h1>
      <p class="lead">
        {keys.length === 1
          ? 'Compare the whole ID and the machine with what the person sees.'
          : 'Compare the IDs with what the person sees, and choose one.'}
      </p>
      <PostForm action="/helpdesk/disclose" csrf={frame.csrf} className="two spaced">
        <input type="hidden" name="domain" value={form.domain} />
        <input type="hidden" name="account" value={form.account} />
        <div class="stack">
          <KeyChoices legend="Key" keys={keys} />
          {more ? (
            <Notice tone="warn" title="There are more">
              Only the first ones are listed. <a href="/helpdesk">Search again</a> with more characters of the
              ID.
            </Notice>
          ) : null}
        </div>
        <div class="panel form">
          <SelectField
            name="reason"
            label="Reason"
            placeholder="Choose a reason"
            options={reasons.map((reason) => [reason, reason] as const)}
          />
          {reasons.at(-1) === 'Other' ? (
            <TextField
              name="other"
              label="In your words"
              hint="Where the reason is “Other”."
              maxLength={256}
              optional
            />
          ) : null}
          <TextField name="ticket" label="Ticket" maxLength={100} optional />
          <div class="row">
            <Submit>Show the recovery key</Submit>
          </div>
          <p class="hint">
            This is recorded with your name. The machine is told to make a new key; the one that you read out
            stops working then.
          </p>
        </div>
      </PostForm>
    </Page>
  );
}
