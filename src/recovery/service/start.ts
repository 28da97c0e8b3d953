import { Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { RecoveryServiceSettings } from '../../config/index.js';
import type { Clock } from '../../ops/clock.js';
import { MpeError } from '../../ops/errors.js';
import type { ReadyCheck } from '../../ops/http.js';
import type { Logger } from '../../ops/log.js';
import { Proxies } from '../../ops/peer.js';
import { newGuid } from '../../protocol/guid.js';
import type { SiteStore } from '../../store/site-store.js';
import { apiRoutes } from '../api/index.js';
import { compatibleProblem, compatibleRoutes } from '../api/compatible/index.js';
import { recordEvent, type AuditContext } from '../audit/record.js';
import type { Operation } from '../roles.js';
import type { Caller, RecoveryServices } from '../services.js';
import { BearerTokens } from '../sign-in/bearer.js';
import { BREAK_GLASS_NAME } from '../sign-in/break-glass.js';
import { SESSION_COOKIE, SESSION_FLAGS } from '../sign-in/cookies.js';
import { LockOut } from '../sign-in/lock-out.js';
import { OidcSignIn } from '../sign-in/oidc.js';
import { signInRoutes } from '../sign-in/routes.js';
import { Sessions } from '../sign-in/sessions.js';
import { callerOf, heldOf, sessionOf, type AccessParts } from './access.js';
import type { RouteModule, ServiceContext } from './context.js';
import { OwnTls, secureOptions } from './own-tls.js';
import { buildRecoveryServer, type ProblemPage } from './server.js';

/** What the HTTP side is started with. */
export interface RecoveryServiceOptions {
  readonly settings: RecoveryServiceSettings;
  readonly store: SiteStore;
  readonly services: RecoveryServices;
  readonly audit: AuditContext;
  readonly clock: Clock;
  readonly log: Logger;
  /** The portals' pages. */
  readonly pages?: readonly RouteModule[];
  readonly problemPage?: (
    context: ServiceContext,
    ...problem: Parameters<ProblemPage>
  ) => ReturnType<ProblemPage>;
  /** Is called with the TLS chain (PEM) that is shown, and with every later one. */
  readonly onTls?: (chainPem: string) => void;
  /** How often the TLS files are looked at. */
  readonly lookEveryMs?: number;
}

/** The running HTTP side. */
export interface RecoveryService {
  readonly port: number;
  readonly origin: string;
  /** Looks at the TLS files now; it does so by itself again and again. */
  reloadTls(): void;
  readonly check: ReadyCheck;
  /** Takes no more requests, lets what is in hand finish within `boundMs` (default 5 s), then cuts it. */
  close(boundMs?: number): Promise<void>;
}

/**
 * Starts the portals and the recovery API.
 *
 * @throws MpeError CONFIG_INVALID where the TLS files cannot be used; the listening socket's error
 */
export async function startRecoveryService(options: RecoveryServiceOptions): Promise<RecoveryService> {
  const { settings, log } = options;
  const { listen } = settings;
  if (listen === null) throw new MpeError('INTERNAL', 'the service is off');
  const tls = settings.tls === null ? null : new OwnTls(settings.tls, log, options.lookEveryMs);
  const draining = new AbortController();
  let port = listen.port;
  // The port is known once it listens; a provider gets the address from the settings.
  const origin = (): string => settings.url ?? originOf(listen.host, port);
  const parts = partsOf(options, origin);
  const server = await buildRecoveryServer({
    context: parts.context,
    access: parts.access,
    tls: tls?.tls ?? null,
    formTargets: settings.oidc === null ? [] : [new URL(settings.oidc.issuer).origin],
    routes: [parts.signIn, apiRoutes, ...compatible(options, origin), ...(options.pages ?? [])],
    problemPage: (request, reply, problem) =>
      compatibleProblem(request, reply, problem) ??
      options.problemPage?.(parts.context, request, reply, problem) ??
      null,
    draining: draining.signal,
    log,
  });
  const https = server.server;
  if (tls !== null && https instanceof HttpsServer) {
    tls.onChange((changed) => {
      https.setSecureContext(secureOptions(changed));
      options.onTls?.(changed.cert);
    });
    options.onTls?.(tls.tls.cert);
  }
  try {
    await listening(server, listen);
  } catch (error) {
    tls?.close();
    throw error;
  }
  port = (server.server.address() as AddressInfo).port;
  log.info(
    { event: 'recovery.listening', port, origin: origin(), tls: tls !== null, signIn: waysOf(settings) },
    'portals and recovery API',
  );
  if (tls === null)
    log.warn({ event: 'recovery.plain_http' }, 'TLS is off: only behind a proxy that ends TLS');
  let closing: Promise<void> | null = null;
  return {
    port,
    origin: origin(),
    reloadTls: () => tls?.look(),
    check: () => (draining.signal.aborted ? Promise.reject(new Error('draining')) : Promise.resolve('ok')),
    close: (boundMs = 5000) => {
      tls?.close();
      return (closing ??= close(server, draining, boundMs, log));
    },
  };
}

async function listening(
  server: FastifyInstance,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  try {
    await server.listen({ host, port });
  } catch (error) {
    await server.close();
    throw error;
  }
}

async function close(
  server: FastifyInstance,
  draining: AbortController,
  boundMs: number,
  log: Logger,
): Promise<void> {
  draining.abort();
  const cut = setTimeout(() => server.server.closeAllConnections(), boundMs);
  await server.close();
  clearTimeout(cut);
  log.info({ event: 'recovery.closed' }, 'portals and recovery API are closed');
}

/** A row of the audit that names no key. */
const nothing = { endUser: '', machine: '', keyType: '', keyId: '', reason: '', ticket: '' } as const;

const isForKeys = (access: Operation): boolean =>
  access === 'key.disclose' || access === 'tpm.disclose' || access === 'own.disclose';

/** What signs in, judges and answers. */
function partsOf(
  { settings, store, services, audit, clock, log }: RecoveryServiceOptions,
  origin: () => string,
): { readonly context: ServiceContext; readonly access: AccessParts; readonly signIn: RouteModule } {
  const { people } = store;
  const proxies = new Proxies(settings.proxies);
  const sessions = new Sessions(people, settings, clock, log);
  const lockOut = new LockOut(people, clock);
  const accounts = { store: people, lockOut, clock, log };
  const callback = (): string => `${origin()}/sign-in/callback`;
  const oidc = settings.oidc === null ? null : new OidcSignIn(settings.oidc, callback, log);
  const bearer =
    settings.oidc === null || oidc === null ? null : new BearerTokens(settings.oidc, oidc, clock, log);
  const context: ServiceContext = {
    services,
    settings,
    clock,
    log,
    sessionOf,
    callerOf: (request) => callerOf(request, proxies),
    signInWays: async () => {
      const armedUntil = settings.breakGlass ? ((await people.readBreakGlass())?.armedUntilMs ?? 0) : 0;
      return { local: settings.local, oidc: oidc !== null, breakGlass: armedUntil > clock.now() };
    },
    acceptNotice: async (request) => {
      const held = heldOf(request);
      if (held !== null) await people.acceptNotice(held.tokenHash);
    },
    signOut: async (request, reply) => {
      const session = sessionOf(request);
      await sessions.end(request.cookies[SESSION_COOKIE]);
      reply.clearCookie(SESSION_COOKIE, SESSION_FLAGS);
      const back = `/sign-in?portal=${session?.portal ?? 'helpdesk'}`;
      const provider =
        session?.person.signIn === 'oidc' ? await oidc?.signOutUrl(`${origin()}/sign-in`) : null;
      return provider ?? back;
    },
  };
  const signIn: RouteModule = (server) =>
    signInRoutes(server, {
      ...{
        sessions,
        settings,
        proxies,
        oidc,
        sessionOf,
        signOut: (request, reply) => context.signOut(request, reply),
      },
      local: accounts,
      breakGlass: accounts,
      audit: () => async (result, detail) => {
        const named = { person: BREAK_GLASS_NAME, helpdeskUser: BREAK_GLASS_NAME };
        const row = { requestId: newGuid(), source: 'Helpdesk', detail } as const;
        await recordEvent(audit, { ...nothing, ...row, ...named }, result);
      },
    });
  const refused = async (caller: Caller, access: Operation): Promise<void> => {
    const { person, source } = caller;
    log.warn(
      { event: 'access.refused', person: person.name, access, source },
      'roles or settings do not allow a request',
    );
    if (!isForKeys(access)) return;
    const row = { ...nothing, keyType: 'Recovery Key Password', detail: `NOT_ALLOWED: ${access}` } as const;
    const named = { requestId: newGuid(), source, person: person.name, helpdeskUser: person.name };
    await recordEvent(audit, { ...named, ...row }, 'Failed');
  };
  return {
    context,
    access: { sessions, bearer, local: accounts, settings, proxies, origin, refused },
    signIn,
  };
}

function compatible(
  { settings, store, audit }: RecoveryServiceOptions,
  origin: () => string,
): readonly RouteModule[] {
  return settings.compatible.length === 0
    ? []
    : [compatibleRoutes(settings.compatible, { store, audit }, origin)];
}

function waysOf({ local, oidc, breakGlass }: RecoveryServiceSettings): readonly string[] {
  return [
    ...(local ? ['local'] : []),
    ...(oidc === null ? [] : ['oidc']),
    ...(breakGlass ? ['break-glass'] : []),
  ];
}

function originOf(host: string, port: number): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return new URL(`https://${name}:${port}`).origin;
}
