import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { RecoveryServiceSettings } from '../../config/index.js';
import { clientAddress, type Proxies } from '../../ops/peer.js';
import { grantOf, type Operation, type Person } from '../roles.js';
import type { Caller, CallSource } from '../services.js';
import type { BearerTokens } from '../sign-in/bearer.js';
import { SESSION_COOKIE, SESSION_FLAGS } from '../sign-in/cookies.js';
import { signInLocally, type LocalSignInParts } from '../sign-in/local.js';
import { SignInRefused } from '../sign-in/problems.js';
import type { Session } from '../sign-in/session.js';
import { isCsrf, type HeldSession, type Sessions } from '../sign-in/sessions.js';
import type { Access } from './context.js';
import { rememberRoute } from './failures.js';
import { RecoveryProblem } from './problems.js';

/** What decides who may ask. */
export interface AccessParts {
  readonly sessions: Sessions;
  readonly bearer: BearerTokens | null;
  readonly local: LocalSignInParts;
  readonly settings: RecoveryServiceSettings;
  readonly proxies: Proxies;
  /** Known once the service listens. */
  readonly origin: () => string;
  /** A request for a key that roles do not allow gets its audit row. */
  readonly refused: (caller: Caller, access: Operation) => Promise<void>;
}

/** Who a request comes from. */
interface Identity {
  readonly person: Person;
  readonly held: HeldSession | null;
}

const identities = new WeakMap<FastifyRequest, Identity>();
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** The session of a request; null where there is none. */
export function sessionOf(request: FastifyRequest): Session | null {
  return identities.get(request)?.held?.session ?? null;
}

/** The session with what the database knows it by. */
export function heldOf(request: FastifyRequest): HeldSession | null {
  return identities.get(request)?.held ?? null;
}

/** Who asks, for services. Only behind a route that demands somebody. */
export function callerOf(request: FastifyRequest, proxies: Proxies): Caller {
  const identity = identities.get(request);
  if (identity === undefined) throw new Error('this route demands nobody');
  return {
    person: identity.person,
    source: request.routeOptions.config.source ?? 'Recovery API',
    address: clientAddress(request, proxies),
  };
}

/**
 * The one place where roles are checked: every route declares in its `config.access` what it demands,
 * and one that does not cannot be added. In order: who is it, may they, does the request come from a
 * page of this service.
 */
export function guardAccess(server: FastifyInstance, parts: AccessParts): void {
  server.addHook('onRoute', (route) => {
    if (route.config?.access === undefined) {
      throw new Error(`${route.method.toString()} ${route.url} does not declare what it demands`);
    }
    for (const method of [route.method].flat()) rememberRoute(server, method, route.url);
  });
  server.addHook('onRequest', async (request, reply) => {
    const { access, source } = request.routeOptions.config;
    // No route: answered as unknown.
    if (access === undefined) return;
    const identity = await identify(parts, request, reply, isCompatible(source));
    if (identity !== null) identities.set(request, identity);
    assertKnown(access, identity?.person ?? null, isCompatible(source));
    await assertMay(parts, access, identity?.person ?? null, request);
    assertOrigin(parts, request, identity);
  });
  server.addHook('preHandler', async (request) => {
    const held = heldOf(request);
    if (held === null || SAFE.has(request.method) || request.routeOptions.config.access === 'public') return;
    const header = request.headers['x-csrf-token'];
    const field = (request.body as { readonly csrf?: unknown } | null | undefined)?.csrf;
    const given = typeof header === 'string' ? header : typeof field === 'string' ? field : '';
    if (!isCsrf(held.session.csrf, given))
      throw csrf('The form is from another session. Load the page again.');
    return Promise.resolve();
  });
}

const isCompatible = (source: CallSource | undefined): boolean =>
  source === 'AdminService' || source === 'MBAM';

async function identify(
  parts: AccessParts,
  request: FastifyRequest,
  reply: FastifyReply,
  compatible: boolean,
): Promise<Identity | null> {
  const { authorization } = request.headers;
  if (authorization !== undefined) {
    const [scheme = '', ...rest] = authorization.split(' ');
    const value = rest.join(' ').trim();
    if (scheme.toLowerCase() === 'bearer' && parts.bearer !== null) {
      return { person: await challenged(parts.bearer.person(value), compatible), held: null };
    }
    if (scheme.toLowerCase() === 'basic' && compatible && parts.settings.local) {
      return { person: await challenged(byPassword(parts, request, value), compatible), held: null };
    }
    throw new RecoveryProblem('AUTHENTICATION_REQUIRED', 'This kind of authentication is not taken here.', {
      headers: challenge(compatible),
    });
  }
  // Scripts of other products send no cookies; a browser that is made to call them must not be let in.
  if (compatible) return null;
  const held = await parts.sessions.find(request.cookies[SESSION_COOKIE]);
  if (held === null) return null;
  if (held.renewed !== null) reply.setCookie(SESSION_COOKIE, held.renewed, SESSION_FLAGS);
  return { person: held.session.person, held };
}

async function byPassword(parts: AccessParts, request: FastifyRequest, value: string): Promise<Person> {
  const text = Buffer.from(value, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 1) throw new SignInRefused('REFUSED');
  const attempt = { name: text.slice(0, colon), password: text.slice(colon + 1) };
  const address = clientAddress(request, parts.proxies);
  return (await signInLocally(parts.local, { ...attempt, address })).person;
}

/** What is refused with 401 says how to come again (RFC 9110 §11.6.1): scripts send a password only then. */
async function challenged<T>(work: Promise<T>, compatible: boolean): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof SignInRefused) || error.problem !== 'REFUSED') throw error;
    throw new RecoveryProblem('SIGN_IN_REFUSED', error.message, {
      headers: challenge(compatible),
      more: { reason: error.problem },
      cause: error,
    });
  }
}

function challenge(compatible: boolean): Readonly<Record<string, string>> {
  return { 'www-authenticate': compatible ? 'Basic realm="mpe", charset="UTF-8"' : 'Bearer' };
}

function assertKnown(access: Access, person: Person | null, compatible: boolean): void {
  if (access === 'public' || person !== null) return;
  throw new RecoveryProblem('AUTHENTICATION_REQUIRED', 'Sign in first, or send an access token.', {
    headers: challenge(compatible),
  });
}

/** How far a grant goes (own machine, named user) is judged where the machine is known. */
async function assertMay(
  { proxies, refused, settings }: AccessParts,
  access: Access,
  person: Person | null,
  request: FastifyRequest,
): Promise<void> {
  if (access === 'public' || access === 'signed-in' || person === null) return;
  const isOff = access.startsWith('own.') && !settings.selfService.on;
  if (grantOf(person, access) !== 'no' && !isOff) return;
  await refused(callerOf(request, proxies), access);
  throw new RecoveryProblem(
    'NOT_ALLOWED',
    isOff ? 'Self-service is switched off.' : `None of your roles lets you do this (${access}).`,
  );
}

/**
 * A browser says where a request that changes something comes from. Who has no session and no browser
 * (API clients with a token) sends neither header.
 */
function assertOrigin(parts: AccessParts, request: FastifyRequest, identity: Identity | null): void {
  if (SAFE.has(request.method)) return;
  const { origin, 'sec-fetch-site': site } = request.headers;
  if (origin !== undefined && origin !== parts.origin()) throw csrf('The request comes from another site.');
  if (site !== undefined && site !== 'same-origin') throw csrf('The request comes from another site.');
  if (origin === undefined && identity !== null && identity.held !== null) {
    throw csrf('A request with a session names its origin: send the header Origin.');
  }
}

function csrf(detail: string): RecoveryProblem {
  return new RecoveryProblem('CSRF_REFUSED', detail);
}
