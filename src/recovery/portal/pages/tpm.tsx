import { mustNameUser } from '../../roles.js';
import { Notice } from '../parts/badge.js';
import { PostForm, SelectField, Submit, TextField } from '../parts/form.js';
import { Page, type Frame } from '../parts/shell.js';
import type { View } from '../parts/view.js';

/** What somebody typed. */
export interface TpmForm {
  readonly domain: string;
  readonly account: string;
  readonly machine: string;
  readonly reason: string;
  readonly ticket: string;
}

/** Manage TPM: the owner password file of a machine, to be downloaded. */
export function TpmPage({
  frame,
  form,
  reasons,
  problem,
}: {
  readonly frame: Frame;
  readonly form: TpmForm;
  readonly reasons: readonly string[];
  readonly problem: { readonly title: string; readonly detail: string } | null;
}): View {
  const userNeeded = frame.person !== null && mustNameUser(frame.person, 'tpm.disclose');
  return (
    <Page frame={frame} title="Manage TPM" section="tpm">
      <h1>Manage TPM</h1>
      <p class="lead">
        The owner password file of a machine’s TPM, as <code>.tpm</code>. It resets a lockout, for example.
      </p>
      <div class="two spaced">
        <div class="panel">
          <PostForm action="/helpdesk/tpm" csrf={frame.csrf}>
            {problem === null ? null : (
              <Notice tone="bad" title={problem.title} live>
                {problem.detail}
              </Notice>
            )}
            <TextField name="machine" label="Name of the machine" value={form.machine} />
            <div class="field-pair">
              <TextField
                name="domain"
                label="Domain of the user"
                value={form.domain}
                optional={!userNeeded}
              />
              <TextField
                name="account"
                label="Account of the user"
                value={form.account}
                optional={!userNeeded}
              />
            </div>
            <SelectField
              name="reason"
              label="Reason"
              placeholder="Choose a reason"
              options={reasons.map((reason) => [reason, reason] as const)}
              value={form.reason}
            />
            <TextField name="ticket" label="Ticket" value={form.ticket} maxLength={100} optional />
            <div class="row">
              <Submit>Download the file</Submit>
            </div>
          </PostForm>
        </div>
        <Notice tone="warn" title="Keep it to yourself">
          A TPM password does not change, so whoever has the file can use it for ever. Never hand it to the
          user; delete it when you are done. The download is recorded.
        </Notice>
      </div>
    </Page>
  );
}
