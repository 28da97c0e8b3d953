import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  answerWithPage,
  frameFor,
  registerPortal,
  sendPageError,
  sendSignIn,
  type PageError,
} from '../portal/index.js';
import { SIGN_IN_PROBLEMS, type SignInProblem } from '../sign-in/problems.js';
import { pathOf } from '../sign-in/routes.js';
import type { Portal } from '../sign-in/session.js';
import type { RouteModule, ServiceContext } from './context.js';
import type { RecoveryProblem } from './problems.js';

/** The portals' pages, and the page where people sign in. */
export const portalPages: RouteModule = (server, context) => {
  server.get('/sign-in', { config: { access: 'public' } }, async (request, reply) => {
    const query = request.query as Readonly<Record<string, unknown>>;
    const portal = query['portal'] === 'self-service' ? 'self-service' : 'helpdesk';
    return signInPage(context, reply, portal, query, 200);
  });
  registerPortal(server, context);
};

async function signInPage(
  context: ServiceContext,
  reply: FastifyReply,
  portal: Portal,
  query: Readonly<Record<string, unknown>>,
  status: number,
): Promise<FastifyReply> {
  const { problem, returnTo } = query;
  if (portal === 'self-service' && !context.settings.selfService.on)
    return sendPageError(reply, frameFor(context.settings, portal, null), { kind: 'self-service-off' });
  const known = typeof problem === 'string' && Object.hasOwn(SIGN_IN_PROBLEMS, problem);
  return sendSignIn(
    reply,
    {
      frame: frameFor(context.settings, portal, null),
      ...(await context.signInWays()),
      name: '',
      problem: known ? SIGN_IN_PROBLEMS[problem as SignInProblem] : null,
      returnTo: pathOf(typeof returnTo === 'string' ? returnTo : '', portal),
    },
    status,
  );
}

/** Tells a problem to a person: as a page where a page was asked for; null for programs. */
export function pageProblem(
  context: ServiceContext,
  request: FastifyRequest,
  reply: FastifyReply,
  problem: RecoveryProblem,
): Promise<FastifyReply> | null {
  const { page } = request.routeOptions.config;
  const isBrowser = (request.headers.accept ?? '').includes('text/html') && !request.url.startsWith('/api/');
  if (page === undefined && !isBrowser) return null;
  reply.headers(problem.headers);
  if (problem.code === 'AUTHENTICATION_REQUIRED') {
    const portal = page ?? 'helpdesk';
    return signInPage(context, reply, portal, { returnTo: request.method === 'GET' ? request.url : '' }, 401);
  }
  return answerWithPage(context, request, reply, errorOf(problem));
}

function errorOf(problem: RecoveryProblem): PageError {
  switch (problem.code) {
    case 'NOT_ALLOWED':
    case 'DISCLOSURE_REFUSED':
      return { kind: 'forbidden' };
    case 'CSRF_REFUSED':
      return { kind: 'stale-form' };
    case 'NOT_FOUND':
      return { kind: 'not-found' };
    case 'RATE_LIMITED':
      return { kind: 'too-many', retryAfterSeconds: Number(problem.headers['retry-after'] ?? '10') };
    case 'STORE_UNAVAILABLE':
    case 'AUDIT_UNAVAILABLE':
    case 'PROVIDER_UNAVAILABLE':
    case 'TOO_BUSY':
    case 'DRAINING':
      return { kind: 'unavailable', detail: problem.message };
    case 'INTERNAL':
      return { kind: 'failed', reference: new Date().toISOString() };
    case 'REQUEST_MALFORMED':
    case 'VALUE_INVALID':
    case 'AUTHENTICATION_REQUIRED':
    case 'SIGN_IN_REFUSED':
    case 'METHOD_NOT_ALLOWED':
    case 'NOT_ACCEPTABLE':
    case 'REQUEST_TIMEOUT':
    case 'CONFLICT':
    case 'BODY_TOO_LARGE':
    case 'MEDIA_TYPE_UNSUPPORTED':
    case 'CONTENT_ENCODING_UNSUPPORTED':
    case 'HEADERS_TOO_LARGE':
      return { kind: 'bad-request', detail: problem.message };
  }
}
