import type { ServiceContext } from '../../service/context.js';
import { FormBody, guidOrNull } from '../form-body.js';
import type { PageRoutes } from '../page-routes.js';
import { ManagementPointsPage, PendingClientsPage } from '../pages/clients.js';
import { AccountsPage, IncidentsPage } from '../pages/incidents.js';
import { PolicyPage } from '../pages/policy.js';
import { RotationsPage, type RotationForm } from '../pages/rotations.js';
import { ADMINISTRATION_PAGES, openPages } from '../parts/sub-nav.js';
import { sendPage, sendPageError } from '../render.js';
import { change } from './change.js';
import { changePolicies } from './change-policies.js';

const LIST = 200;
const IDS = 100;
const DAY_MS = 86_400_000;

/** Administration: rotations, policy and rings, clients, management points, incidents, accounts. */
export function administration(routes: PageRoutes, context: ServiceContext): void {
  const { services } = context;
  routes.get('/administration', 'signed-in', async ({ session, reply, frame }) => {
    const [first] = openPages(ADMINISTRATION_PAGES, session.person);
    return first === undefined
      ? sendPageError(reply, frame, { kind: 'forbidden' })
      : reply.redirect(first.href, 303);
  });
  rotations(routes, context);
  changePolicies(routes, context);
  routes.get('/administration/policy', 'policy.read', async ({ reply, frame }) => {
    const [policies, rings] = await Promise.all([services.policies.list(), services.policies.rings()]);
    return sendPage(reply, <PolicyPage frame={frame} policies={policies} rings={rings} />);
  });
  routes.get('/administration/clients', 'client.list', async ({ reply, frame }) =>
    sendPage(reply, <PendingClientsPage frame={frame} clients={await services.clients.pending(LIST)} />),
  );
  routes.get('/administration/management-points', 'management-point.list', async ({ reply, frame }) =>
    sendPage(
      reply,
      <ManagementPointsPage frame={frame} points={await services.clients.managementPoints()} />,
    ),
  );
  routes.get('/administration/incidents', 'incident.list', async ({ reply, frame }) =>
    sendPage(reply, <IncidentsPage frame={frame} incidents={await services.incidents.list()} />),
  );
  routes.get('/administration/accounts', 'people.list', async ({ reply, frame }) =>
    sendPage(reply, <AccountsPage frame={frame} accounts={await services.people.list()} />),
  );
  clients(routes, context);
  incidents(routes, context);
  change(
    routes,
    '/administration/accounts',
    'people.disable',
    '/administration/accounts',
    async (body, page) =>
      services.people.setDisabled(page.caller, body.text('name'), body.ticked('disabled')),
  );
}

function rotations(routes: PageRoutes, { services }: ServiceContext): void {
  const home = '/administration/rotations';
  routes.get(home, 'rotation.list', async ({ request, reply, frame }) => {
    const query = new FormBody(request.query);
    const show = query.text('show');
    const form: RotationForm = {
      machine: query.text('machine'),
      show: show === 'all' || show === 'overdue' ? show : 'open',
    };
    const lines = await services.rotations.list({
      ...(form.machine === '' ? {} : { machine: form.machine }),
      ...(form.show === 'open' ? { open: true } : {}),
      ...(form.show === 'overdue' ? { overdue: true } : {}),
      limit: LIST,
    });
    return sendPage(reply, <RotationsPage frame={frame} form={form} lines={lines} limit={LIST} />);
  });
  routes.post(`${home}/:requestId/abandon`, 'rotation.abandon', async ({ request, reply, frame, caller }) => {
    const requestId = guidOrNull((request.params as { requestId: string }).requestId);
    const reason = FormBody.of(request).text('reason', 256);
    if (requestId === null || reason === '')
      return sendPageError(reply, frame, {
        kind: 'bad-request',
        detail: 'Say why you give the rotation up.',
      });
    await services.rotations.abandon(caller, requestId, reason);
    return reply.redirect(home, 303);
  });
  routes.post(`${home}/request`, 'rotation.request', async ({ request, reply, frame, caller }) => {
    const body = FormBody.of(request);
    const ids = body
      .text('ids', 4000)
      .split(/[\s,;]+/)
      .filter((id) => id !== '')
      .map(guidOrNull);
    const [first] = ids;
    const days = Number(body.text('days'));
    const perHour = Number(body.text('perHour'));
    const isVolume = body.text('kind') === 'volume';
    const wrong = wrongRequest(ids.length, ids.includes(null), isVolume, days, perHour);
    if (wrong !== null || first === undefined || first === null)
      return sendPageError(reply, frame, { kind: 'bad-request', detail: wrong ?? 'Name one id at least.' });
    const clientIds = ids.filter((id) => id !== null);
    await services.rotations.request(
      caller,
      isVolume ? { volumeId: first } : { clientIds, perHour },
      days * DAY_MS,
    );
    return reply.redirect(home, 303);
  });
}

function wrongRequest(
  ids: number,
  someWrong: boolean,
  isVolume: boolean,
  days: number,
  perHour: number,
): string | null {
  if (someWrong) return 'One of the ids is no id: an id has 32 hexadecimal digits.';
  if (ids > IDS) return `There are ${ids} ids; at most ${IDS} are taken here.`;
  if (isVolume && ids !== 1) return 'Name one volume.';
  if (!Number.isInteger(days) || days < 1 || days > 365) return 'The days are a whole number from 1 to 365.';
  if (!Number.isInteger(perHour) || perHour < 1 || perHour > 10_000)
    return 'The machines an hour are a whole number from 1 to 10000.';
  return null;
}

function clients(routes: PageRoutes, { services }: ServiceContext): void {
  const home = '/administration/clients';
  routes.post(home, 'client.decide', async ({ request, reply, frame, caller }) => {
    const body = FormBody.of(request);
    const clientId = body.guid('client');
    const kid = body.text('kid');
    const decision = body.text('decision');
    if (clientId === null || kid === '' || (decision !== 'approve' && decision !== 'reject'))
      return sendPageError(reply, frame, { kind: 'bad-request', detail: 'Approve or reject one client.' });
    if (decision === 'approve') await services.clients.approve(caller, clientId, kid, body.text('tag', 64));
    else await services.clients.reject(caller, clientId, kid);
    return reply.redirect(home, 303);
  });
}

function incidents(routes: PageRoutes, { services }: ServiceContext): void {
  const home = '/administration/incidents';
  change(routes, `${home}/propose`, 'incident.open', home, async (body, { caller }) =>
    services.incidents.propose(caller, {
      title: body.text('title'),
      machines: body
        .text('machines', 100_000)
        .split(/[\r\n,;]+/)
        .map((name) => name.trim())
        .filter((name) => name !== ''),
      hours: Number(body.text('hours')),
    }),
  );
  for (const step of ['confirm', 'end'] as const)
    routes.post(`${home}/${step}`, 'incident.open', async ({ request, reply, frame, caller }) => {
      const incidentId = FormBody.of(request).guid('incident');
      if (incidentId === null)
        return sendPageError(reply, frame, { kind: 'bad-request', detail: 'Name one incident.' });
      await services.incidents[step](caller, incidentId);
      return reply.redirect(home, 303);
    });
}
