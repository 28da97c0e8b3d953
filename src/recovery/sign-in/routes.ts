import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { RecoveryServiceSettings } from '../../config/index.js';
import { clientAddress, type Proxies } from '../../ops/peer.js';
import { FORM_TYPE, JSON_TYPE } from '../service/bodies.js';
import { RecoveryProblem } from '../service/problems.js';
import { signInByBreakGlass, type BreakGlassAudit, type BreakGlassParts } from './break-glass.js';
import { SESSION_COOKIE, SESSION_FLAGS, SIGN_IN_COOKIE, SIGN_IN_FLAGS } from './cookies.js';
import { signInLocally, type LocalSignInParts } from './local.js';
import type { OidcSignIn, OidcState } from './oidc.js';
import { SignInRefused } from './problems.js';
import { WARN_SECONDS, type Portal, type Session } from './session.js';
import { portalOf, type Sessions } from './sessions.js';

/** What the routes of signing in need. */
export interface SignInParts {
  readonly sessions: Sessions;
  readonly settings: RecoveryServiceSettings;
  readonly proxies: Proxies;
  readonly local: LocalSignInParts;
  readonly breakGlass: BreakGlassParts;
  readonly oidc: OidcSignIn | null;
  readonly audit: (request: FastifyRequest) => BreakGlassAudit;
  readonly sessionOf: (request: FastifyRequest) => Session | null;
  /** Ends the session; where to go then. */
  readonly signOut: (request: FastifyRequest, reply: FastifyReply) => Promise<string>;
}

const portal = z.enum(['helpdesk', 'self-service']).default('helpdesk');
const text = z.string().max(512);
const begin = { portal, returnTo: text.default('') };
const localForm = z.object({ name: text.min(1), password: z.string().max(1024), ...begin });
const breakGlassForm = z.object({ breakGlassPassword: z.string().max(1024), code: text, ...begin });
const oidcForm = z.object(begin);

/**
 * Signing in and out. Forms are answered with a redirect (303; a refusal to `/sign-in?problem=CODE`),
 * JSON with the session's facts or a problem.
 */
export function signInRoutes(server: FastifyInstance, parts: SignInParts): void {
  const { settings, sessions } = parts;
  const config = { access: 'public', takes: [JSON_TYPE, FORM_TYPE] } as const;

  server.post('/sign-in/local', { config }, async (request, reply) => {
    const form = read(localForm, request);
    return answering(request, reply, form, async () => {
      assertPortal(settings, form.portal);
      if (!settings.local) throw new SignInRefused('OFF');
      const address = clientAddress(request, parts.proxies);
      const { person, accountRevision } = await signInLocally(parts.local, { ...form, address });
      const former = request.cookies[SESSION_COOKIE];
      return sessions.begin(person, form.portal, { accountRevision, former });
    });
  });

  server.post('/sign-in/break-glass', { config }, async (request, reply) => {
    const form = read(breakGlassForm, request);
    return answering(request, reply, form, async () => {
      if (!settings.breakGlass) throw new SignInRefused('OFF');
      const address = clientAddress(request, parts.proxies);
      const { person, endsAtMs } = await signInByBreakGlass(
        parts.breakGlass,
        { password: form.breakGlassPassword, code: form.code, address },
        parts.audit(request),
      );
      return sessions.begin(person, 'helpdesk', { former: request.cookies[SESSION_COOKIE], endsAtMs });
    });
  });

  server.post('/sign-in/oidc', { config }, async (request, reply) => {
    const form = read(oidcForm, request);
    try {
      assertPortal(settings, form.portal);
      if (parts.oidc === null) throw new SignInRefused('OFF');
      const { url, kept } = await parts.oidc.begin(form.portal, pathOf(form.returnTo, form.portal));
      reply.setCookie(SIGN_IN_COOKIE, Buffer.from(JSON.stringify(kept)).toString('base64url'), SIGN_IN_FLAGS);
      return await (isForm(request) ? reply.redirect(url.href, 303) : reply.send({ location: url.href }));
    } catch (error) {
      return refused(request, reply, form, error);
    }
  });

  server.get('/sign-in/callback', { config: { access: 'public' } }, async (request, reply) => {
    const kept = keptOf(request);
    reply.clearCookie(SIGN_IN_COOKIE, SIGN_IN_FLAGS);
    const form = { portal: kept?.portal ?? ('helpdesk' as const), returnTo: kept?.returnTo ?? '' };
    try {
      if (parts.oidc === null) throw new SignInRefused('OFF');
      if (kept === null) throw new SignInRefused('PROVIDER_REFUSED');
      const person = await parts.oidc.finish(request.url.split('?')[1] ?? '', kept);
      const former = request.cookies[SESSION_COOKIE];
      reply.setCookie(SESSION_COOKIE, await sessions.begin(person, kept.portal, { former }), SESSION_FLAGS);
      return await movedOn(reply, goalOf(kept.returnTo, kept.portal, portalOf(person, kept.portal)));
    } catch (error) {
      if (!(error instanceof SignInRefused)) throw error;
      return await movedOn(reply, problemPath(form, error));
    }
  });

  server.post('/api/v1/sign-out', { config: { access: 'signed-in' } }, async (request, reply) => {
    const back = await parts.signOut(request, reply);
    return reply.send({ location: back });
  });

  server.get('/api/v1/session', { config: { access: 'signed-in' } }, async (request, reply) => {
    const session = parts.sessionOf(request);
    if (session === null) throw new RecoveryProblem('NOT_FOUND', 'An access token has no session.');
    return reply.send({ ...session, warnSeconds: WARN_SECONDS });
  });

  /** Signs in, sets the cookie, answers; a refusal is told in the way of the request. */
  async function answering(
    request: FastifyRequest,
    reply: FastifyReply,
    form: { readonly portal: Portal; readonly returnTo: string; readonly name?: string },
    work: () => Promise<string>,
  ): Promise<FastifyReply> {
    try {
      const token = await work();
      reply.setCookie(SESSION_COOKIE, token, SESSION_FLAGS);
      const held = await sessions.find(token);
      if (isForm(request))
        return await reply.redirect(
          goalOf(form.returnTo, form.portal, held?.session.portal ?? form.portal),
          303,
        );
      return await reply.send({ ...held?.session, warnSeconds: WARN_SECONDS });
    } catch (error) {
      return refused(request, reply, form, error);
    }
  }
}

interface Begun {
  readonly portal: Portal;
  readonly returnTo: string;
}

function refused(request: FastifyRequest, reply: FastifyReply, form: Begun, error: unknown): FastifyReply {
  if (!(error instanceof SignInRefused) || !isForm(request)) throw error;
  return reply.redirect(problemPath(form, error), 303);
}

function problemPath({ portal: at, returnTo }: Begun, { problem, waitSeconds }: SignInRefused): string {
  const query = new URLSearchParams({ portal: at, problem });
  if (waitSeconds !== null) query.set('wait', String(waitSeconds));
  if (returnTo !== '') query.set('returnTo', pathOf(returnTo, at));
  return `/sign-in?${query.toString()}`;
}

/**
 * Goes on from a page of this origin: a redirect would still count as the provider's, and a Strict
 * cookie would stay behind.
 */
function movedOn(reply: FastifyReply, path: string): FastifyReply {
  const safe = path.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  return reply
    .header('content-type', 'text/html; charset=utf-8')
    .send(
      '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Signing in</title>' +
        `<meta http-equiv="refresh" content="0;url=${safe}"></head>` +
        `<body><main><p><a href="${safe}">Go on</a></p></main></body></html>`,
    );
}

function assertPortal(settings: RecoveryServiceSettings, at: Portal): void {
  if (at === 'self-service' && !settings.selfService.on) throw new SignInRefused('OFF');
}

const isForm = (request: FastifyRequest): boolean =>
  (request.headers['content-type'] ?? '').toLowerCase().startsWith(FORM_TYPE);

/** A path of this service, or the portal's first page: no other place is gone to. */
export function pathOf(returnTo: string, at: Portal): string {
  const home = at === 'self-service' ? '/self-service' : '/helpdesk';
  if (!/^\/[A-Za-z0-9_~.\-/?=&%]*$/.test(returnTo) || returnTo.startsWith('//')) return home;
  return returnTo;
}

/** Where a sign-in leads: a page of another portal than the session's own would only refuse. */
function goalOf(returnTo: string, asked: Portal, own: Portal): string {
  const path = pathOf(returnTo, own);
  return own === asked || path.startsWith('/self-service') ? path : pathOf('', own);
}

function read<T>(schema: z.ZodType<T>, request: FastifyRequest): T {
  const parsed = schema.safeParse(request.body ?? {});
  if (parsed.success) return parsed.data;
  const names = parsed.error.issues.map((issue) => issue.path.join('.')).join(', ');
  throw new RecoveryProblem('VALUE_INVALID', `These fields are missing or wrong: ${names}.`);
}

const keptSchema = z.object({
  state: text,
  nonce: text,
  verifier: text,
  portal,
  returnTo: text,
}) satisfies z.ZodType<OidcState>;

function keptOf(request: FastifyRequest): OidcState | null {
  try {
    const cookie = request.cookies[SIGN_IN_COOKIE] ?? '';
    return keptSchema.parse(JSON.parse(Buffer.from(cookie, 'base64url').toString('utf8')));
  } catch {
    return null;
  }
}
