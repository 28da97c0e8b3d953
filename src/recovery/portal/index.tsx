import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RouteModule, ServiceContext } from '../service/context.js';
import type { Portal } from '../sign-in/session.js';
import { serveAssets } from './assets.js';
import { FormBody } from './form-body.js';
import { PageRoutes } from './page-routes.js';
import type { PageError } from './pages/errors.js';
import { sectionsOf } from './parts/shell.js';
import { frameFor, sendPageError } from './render.js';
import { administration } from './routes/administration.js';
import { driveRecovery } from './routes/helpdesk.js';
import { reports } from './routes/reports.js';
import { rotationWatch } from './routes/rotation-watch.js';
import { selfService } from './routes/self-service.js';
import { manageTpm } from './routes/tpm.js';

export { frameFor, sendPageError, sendSignIn } from './render.js';
export type { PageError } from './pages/errors.js';

/** Adds the portals' pages to the recovery service. */
export const registerPortal: RouteModule = (server, context) => {
  const helpdesk = new PageRoutes(server, context, 'helpdesk');
  const own = new PageRoutes(server, context, 'self-service');
  serveAssets(server);
  driveRecovery(helpdesk, context);
  manageTpm(helpdesk, context);
  reports(helpdesk, context);
  administration(helpdesk, context);
  selfService(own, context);
  rotationWatch(helpdesk, 'helpdesk', context);
  rotationWatch(own, 'self-service', context);

  // The start leads to the first section that the person may open.
  helpdesk.get('/', 'signed-in', async ({ session, reply, frame }) => {
    const [first] = sectionsOf(session.person, session.portal);
    return first === undefined
      ? sendPageError(reply, frame, { kind: 'forbidden' })
      : reply.redirect(first.href, 303);
  });
  sessions(helpdesk, server, context);
  // The names that the original's portals have.
  server.get('/HelpDesk', { config: { access: 'public' } }, async (_request, reply) =>
    reply.redirect('/helpdesk'),
  );
  server.get('/SelfService', { config: { access: 'public' } }, async (_request, reply) =>
    reply.redirect('/self-service'),
  );
};

/** Signing out, and the end of a session. */
function sessions(routes: PageRoutes, server: Parameters<RouteModule>[0], context: ServiceContext): void {
  routes.post('/sign-out', 'signed-in', async ({ request, reply, session }) => {
    const next = await context.signOut(request, reply);
    const home = `/session-ended?portal=${session.portal}&signed-out=yes`;
    return reply.redirect(next.startsWith('/') ? home : next, 303);
  });
  server.get('/session-ended', { config: { access: 'public' } }, async (request, reply) => {
    const query = new FormBody(request.query);
    const kind = query.ticked('signed-out') ? 'signed-out' : 'session-ended';
    return sendPageError(reply, frameFor(context.settings, portalOf(query), null), { kind });
  });
}

function portalOf(query: FormBody): Portal {
  return query.text('portal') === 'self-service' ? 'self-service' : 'helpdesk';
}

/** Answers a request of a browser that failed, as a page of the portal that it was for. */
export async function answerWithPage(
  context: ServiceContext,
  request: FastifyRequest,
  reply: FastifyReply,
  error: PageError,
): Promise<FastifyReply> {
  const portal =
    request.routeOptions.config.page ??
    (request.url.startsWith('/self-service') ? 'self-service' : 'helpdesk');
  const { settings } = context;
  // Roles open it; the settings do not.
  const isOff = error.kind === 'forbidden' && portal === 'self-service' && !settings.selfService.on;
  const told: PageError = isOff ? { kind: 'self-service-off' } : error;
  return sendPageError(reply, frameFor(settings, portal, context.sessionOf(request)), told);
}
