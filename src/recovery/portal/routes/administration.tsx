import type { ServiceContext } from '../../service/context.js';
import type { PageRoutes } from '../page-routes.js';
import { ADMINISTRATION_PAGES, openPages } from '../parts/sub-nav.js';
import { sendPageError } from '../render.js';
import { clients } from './clients.js';
import { accounts, incidents } from './incidents.js';
import { policies } from './policies.js';
import { rotations } from './rotations.js';

/** Administration: rotations, policy and rings, clients, management points, incidents, accounts. */
export function administration(routes: PageRoutes, context: ServiceContext): void {
  // The section leads to the first of its pages that the person may open.
  routes.get('/administration', 'signed-in', async ({ session, reply, frame }) => {
    const [first] = openPages(ADMINISTRATION_PAGES, session.person);
    return first === undefined
      ? sendPageError(reply, frame, { kind: 'forbidden' })
      : reply.redirect(first.href, 303);
  });
  rotations(routes, context);
  policies(routes, context);
  clients(routes, context);
  incidents(routes, context);
  accounts(routes, context);
}
