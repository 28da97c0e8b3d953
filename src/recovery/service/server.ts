import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import cookie from '@fastify/cookie';
import rateLimit from '@fastify/rate-limit';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { clientAddress, networkOf } from '../../ops/peer.js';
import type { Logger } from '../../ops/log.js';
import { guardAccess, type AccessParts } from './access.js';
import { addBodies } from './bodies.js';
import type { RouteModule, ServiceContext } from './context.js';
import {
  answerBroken,
  answerUnknown,
  BODY_BYTES,
  closeUnread,
  sendRecoveryProblem,
  toRecoveryProblem,
} from './failures.js';
import { addSecurityHeaders } from './headers.js';
import { secureOptions, type ServiceTls } from './own-tls.js';
import { RecoveryProblem } from './problems.js';

/** Time for all headers, for a whole request, for an idle connection; milliseconds. */
const TIMES = { headers: 10_000, request: 20_000, keepAlive: 65_000, handshake: 10_000, check: 1000 };
const HEADER_BYTES = 16 * 1024;
const MOST_CONNECTIONS = 2000;
/** Requests worked on at once. */
const IN_FLIGHT = 200;

/** A problem told to a person instead of a program; where absent, or where it answers null, JSON. */
export type ProblemPage = (
  request: FastifyRequest,
  reply: FastifyReply,
  problem: RecoveryProblem,
) => Promise<FastifyReply> | FastifyReply | null;

/** What a server is built with. */
export interface RecoveryServerOptions {
  readonly context: ServiceContext;
  readonly access: AccessParts;
  /** PEM; null for plain HTTP behind a proxy that ends TLS. */
  readonly tls: ServiceTls | null;
  /** Origins that a form may lead to. */
  readonly formTargets: readonly string[];
  readonly routes: readonly RouteModule[];
  readonly problemPage: ProblemPage | null;
  readonly draining: AbortSignal;
  readonly log: Logger;
}

/** Builds the HTTP server of the recovery service; it listens to nothing yet. */
export async function buildRecoveryServer(options: RecoveryServerOptions): Promise<FastifyInstance> {
  const { context, access, tls, log } = options;
  const server = fastify({
    logger: false,
    bodyLimit: BODY_BYTES,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 200 },
    rewriteUrl: (request) => withoutCase(request.url ?? '/'),
    serverFactory: (handler) => makeServer(tls, handler),
  });
  addSecurityHeaders(server, options.formTargets);
  const problem = (request: FastifyRequest, reply: FastifyReply, what: RecoveryProblem): unknown =>
    options.problemPage?.(request, reply, what) ?? sendRecoveryProblem(reply, what);
  server.setErrorHandler((error, request, reply) =>
    problem(request, closeUnread(request, reply), toRecoveryProblem(error, request, log)),
  );
  answerUnknown(server, problem);
  admission(server, options.draining);
  await server.register(cookie);
  const { limitAddress } = access.settings;
  if (limitAddress !== null) {
    await server.register(rateLimit, {
      // The hook below counts: that of a route would come behind those that ask who it is, and count no
      // refusal. A refusal costs as much: a look into the database, a password, a row of the audit.
      global: false,
      max: limitAddress.burst,
      timeWindow: Math.ceil((limitAddress.burst / limitAddress.perSecond) * 1000),
      cache: 10_000,
      keyGenerator: (request) => networkOf(clientAddress(request, access.proxies)),
      addHeaders: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
      errorResponseBuilder: (_request, { after }) =>
        new RecoveryProblem('RATE_LIMITED', `Too many requests of this address. Try again in ${after}.`),
    });
    server.addHook('onRequest', server.rateLimit());
  }
  addBodies(server);
  guardAccess(server, access);
  for (const add of options.routes) add(server, context);
  return server;
}

/** Scripts write the addresses of compatible interfaces in any case. */
function withoutCase(url: string): string {
  return url.replace(
    /^\/(?:adminservice(?=\/)|mbamadministrationservice\/administrationservice\.svc(?=\?|$))/i,
    (prefix) => prefix.toLowerCase(),
  );
}

function makeServer(
  tls: RecoveryServerOptions['tls'],
  handler: (request: never, response: never) => void,
): Server {
  const node = {
    maxHeaderSize: HEADER_BYTES,
    headersTimeout: TIMES.headers,
    requestTimeout: TIMES.request,
    keepAliveTimeout: TIMES.keepAlive,
    connectionsCheckingInterval: TIMES.check,
  };
  const listener = handler as Parameters<typeof createHttpServer>[1];
  const made =
    tls === null
      ? createHttpServer(node, listener)
      : createHttpsServer({ ...node, ...secureOptions(tls), handshakeTimeout: TIMES.handshake }, listener);
  made.maxConnections = MOST_CONNECTIONS;
  made.setTimeout(60_000);
  made.on('clientError', answerBroken);
  return made;
}

/** Counts requests in hand; beyond the bound, or while the service goes down, there is no entry. */
function admission(server: FastifyInstance, draining: AbortSignal): void {
  let inFlight = 0;
  server.addHook('onRequest', async (_request, reply) => {
    inFlight += 1;
    reply.raw.once('close', () => (inFlight -= 1));
    if (draining.aborted) {
      reply.header('connection', 'close');
      throw new RecoveryProblem('DRAINING', 'This service is going down. Try again.', {
        headers: { 'retry-after': '2' },
      });
    }
    if (inFlight > IN_FLIGHT) {
      throw new RecoveryProblem('TOO_BUSY', 'The service has many requests in hand. Try again.', {
        headers: { 'retry-after': '2' },
      });
    }
    return Promise.resolve();
  });
}
