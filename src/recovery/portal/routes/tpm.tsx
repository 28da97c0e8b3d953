import { MpeError } from '../../../ops/errors.js';
import { tpmFile } from '../../disclosure/tpm-file.js';
import type { ServiceContext } from '../../service/context.js';
import { FormBody } from '../form-body.js';
import { endUserOf, type PageRoutes } from '../page-routes.js';
import { TpmPage, type TpmForm } from '../pages/tpm.js';
import { sentence } from '../parts/sentence.js';
import { refusalTitle } from '../refusals.js';
import { sendFile } from '../send-file.js';
import { sendPage } from '../render.js';

const EMPTY: TpmForm = { domain: '', account: '', machine: '', reason: '', ticket: '' };

/** Manage TPM: the owner password file. */
export function manageTpm(routes: PageRoutes, { services }: ServiceContext): void {
  const reasonsFor = (): readonly string[] => services.keys.reasons('Helpdesk', 'tpm-password-hash');
  routes.get('/helpdesk/tpm', 'tpm.disclose', async ({ frame, reply }) =>
    sendPage(reply, <TpmPage frame={frame} form={EMPTY} reasons={reasonsFor()} problem={null} />),
  );
  routes.post('/helpdesk/tpm', 'tpm.disclose', async ({ frame, reply, request, caller }) => {
    const body = FormBody.of(request);
    const form: TpmForm = {
      domain: body.text('domain'),
      account: body.text('account'),
      machine: body.text('machine'),
      reason: body.text('reason'),
      ticket: body.text('ticket', 100),
    };
    const endUser = endUserOf(body);
    const answer = await services.keys.disclose(caller, {
      kind: 'tpm-password-hash',
      machine: form.machine,
      reason: form.reason,
      ...(form.ticket === '' ? {} : { ticket: form.ticket }),
      ...(endUser === null ? {} : { endUser }),
    });
    if (answer.outcome === 'refused') {
      const [title, status] = refusalTitle(answer.refusal);
      const problem = { title, detail: sentence(answer.detail) };
      const page = <TpmPage frame={frame} form={form} reasons={reasonsFor()} problem={problem} />;
      return sendPage(reply, page, status);
    }
    const [first] = answer.keys;
    if (first === undefined || typeof first.value !== 'string')
      throw new MpeError('INTERNAL', 'a disclosure of a TPM password hash holds none');
    const machineName = first.machines[0]?.name ?? form.machine;
    const file = tpmFile({
      ownerAuth: first.value,
      machineName,
      user: caller.person.name,
      atMs: answer.shownAtMs,
    });
    return sendFile(reply, `${machineName}.tpm`, 'application/xml', file);
  });
}
