import type { FastifyReply } from 'fastify';
import { MpeError } from '../../../ops/errors.js';
import type { ServiceContext } from '../../service/context.js';
import type { PageRequest, PageRoutes } from '../page-routes.js';
import { ManagementPointsPage, PendingClientsPage } from '../pages/clients.js';
import type { Outcome } from '../parts/outcome.js';
import { sendPage } from '../render.js';
import { change, outcomeOf } from './change.js';

const HOME = '/administration/clients';
const LIST = 200;

/** Registrations that wait for an operator, and management points. */
export function clients(routes: PageRoutes, { services }: ServiceContext): void {
  const show = async ({ reply, frame }: PageRequest, outcome: Outcome): Promise<FastifyReply> =>
    sendPage(
      reply,
      <PendingClientsPage frame={frame} clients={await services.clients.pending(LIST)} outcome={outcome} />,
      outcome.problem?.status ?? 200,
    );
  routes.get(HOME, 'client.list', async (page) => show(page, outcomeOf(page)));
  routes.post(HOME, 'client.decide', async (page) =>
    change(
      page,
      async (body) => {
        const clientId = body.guid('client');
        const kid = body.text('kid');
        const decision = body.text('decision');
        if (clientId === null || kid === '' || (decision !== 'approve' && decision !== 'reject'))
          throw new MpeError('VALUE_INVALID', 'approve or reject one client');
        if (decision === 'approve') {
          await services.clients.approve(page.caller, clientId, kid, body.text('tag'));
          return { to: HOME, done: 'client-approved' };
        }
        await services.clients.reject(page.caller, clientId, kid);
        return { to: HOME, done: 'client-rejected' };
      },
      async (outcome) => show(page, outcome),
    ),
  );
  routes.get('/administration/management-points', 'management-point.list', async ({ reply, frame }) =>
    sendPage(
      reply,
      <ManagementPointsPage frame={frame} points={await services.clients.managementPoints()} />,
    ),
  );
}
