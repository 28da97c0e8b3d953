import type { KeyLine, OwnMachine } from '../../services.js';
import { Notice } from '../parts/badge.js';
import { PostForm, SelectField, Submit, TextField, CheckField } from '../parts/form.js';
import { Page, type Frame } from '../parts/shell.js';
import type { View } from '../parts/view.js';
import { When } from '../parts/when.js';

/** The notice of the organisation, to be accepted once in each session. */
export function NoticePage({ frame, text }: { readonly frame: Frame; readonly text: string }): View {
  return (
    <Page frame={frame} title="Before you go on" section="self-service" narrow>
      <h1>Before you go on</h1>
      <div class="stack spaced">
        <div class="panel notice-text">
          {text.split(/\n\s*\n/).map((paragraph) => (
            <p key={paragraph}>{paragraph}</p>
          ))}
        </div>
        <PostForm action="/self-service/notice" csrf={frame.csrf}>
          <CheckField name="accepted" label="I have read and accept this" required />
          <div class="row">
            <Submit>Go on</Submit>
          </div>
        </PostForm>
      </div>
    </Page>
  );
}

/** What was asked and why it was refused. */
export interface OwnProblem {
  readonly title: string;
  readonly detail: string;
  /** Whether it concerns the digits. */
  readonly digits: boolean;
}

/** Self-service: the digits on the screen, and why. */
export function SelfServicePage({
  frame,
  machines,
  reasons,
  form,
  problem,
}: {
  readonly frame: Frame;
  readonly machines: readonly OwnMachine[];
  readonly reasons: readonly string[];
  readonly form: { readonly digits: string; readonly reason: string };
  readonly problem: OwnProblem | null;
}): View {
  return (
    <Page frame={frame} title="My recovery key" section="self-service">
      <h1>Unlock your drive</h1>
      <p class="lead">
        Your computer shows a blue screen with a recovery key ID. With its first 8 characters you get the key
        here.
      </p>
      <div class="two spaced">
        <div class="panel">
          {machines.length === 0 ? (
            <NoMachines frame={frame} />
          ) : (
            <PostForm action="/self-service/key" csrf={frame.csrf}>
              {problem === null ? null : (
                <Notice tone="bad" title={problem.title} live>
                  {problem.detail}
                </Notice>
              )}
              <TextField
                name="digits"
                label="Recovery key ID"
                hint="The first 8 characters, for example BA16FA9B. Only the digits and the letters A to F occur."
                value={form.digits}
                error={problem?.digits === true ? 'Please look at this once more.' : undefined}
                maxLength={60}
                code
                focus
              />
              <SelectField
                name="reason"
                label="Why do you need it?"
                placeholder="Choose a reason"
                options={reasons.map((reason) => [reason, reason] as const)}
                value={form.reason}
              />
              <div class="row">
                <Submit>Get my key</Submit>
              </div>
              <p class="hint">
                This is recorded. Your computer makes a new key soon afterwards, by itself, once it is on the
                network.
              </p>
            </PostForm>
          )}
        </div>
        {machines.length === 0 ? null : <OwnMachines machines={machines} />}
      </div>
    </Page>
  );
}

function NoMachines({ frame }: { readonly frame: Frame }): View {
  return (
    <Notice tone="warn" title="No computer of yours is known here">
      You can help yourself once you have signed in to a computer that this service knows.{' '}
      <HelpdeskWord frame={frame} />.
    </Notice>
  );
}

/** What people do who cannot help themselves, as the organisation wrote it. */
export function HelpdeskWord({ frame }: { readonly frame: Frame }): View {
  const { text, url } = frame.helpdesk;
  return url === null ? <span>{text}</span> : <a href={url}>{text}</a>;
}

function OwnMachines({ machines }: { readonly machines: readonly OwnMachine[] }): View {
  return (
    <aside class="panel panel-plain" aria-labelledby="machines-title">
      <h2 id="machines-title">Your computers</h2>
      <ul class="plain-list">
        {machines.map(({ clientId, machineName, lastReportAtMs }) => (
          <li key={clientId}>
            <strong>
              <bdi>{machineName}</bdi>
            </strong>
            <br />
            <span class="soft small">
              last heard of <When atMs={lastReportAtMs} />
            </span>
          </li>
        ))}
      </ul>
      <p class="hint">Computers that you signed in to yourself, at the keyboard.</p>
    </aside>
  );
}

/** Keys of a person's own machines whose IDs begin alike: all 32 digits are asked for. */
export function alikeText(keys: readonly KeyLine[]): string {
  return `${keys.length} keys of your computers begin like this. Type all 32 characters of the ID, without dashes or with.`;
}
