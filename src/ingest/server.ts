import { constants } from 'node:crypto';
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import fastify, { type FastifyInstance } from 'fastify';
import { LIMITS } from '../protocol/vocabulary.js';
import type { GatewayContext } from './context.js';
import { getMessage } from './endpoints/get-message.js';
import { getNonce } from './endpoints/get-nonce.js';
import { getSite } from './endpoints/get-site.js';
import { postClients } from './endpoints/post-clients.js';
import { postMessages } from './endpoints/post-messages.js';
import { postToken } from './endpoints/post-token.js';
import { limitConnections } from './connections.js';
import { admission, endConnections, limitHeaders } from './guards.js';
import { sendProblem } from './respond.js';
import { answerBroken, answerUnknown, closeUnread, toProblem } from './failures.js';

/** Time for all headers, for a whole request, for an idle connection; milliseconds. */
const TIMES = { headers: 10_000, request: 20_000, keepAlive: 65_000, handshake: 10_000, check: 1000 };
const HEADER_BYTES = 8 * 1024;
/** Where proxies forward certificates, or tenants issue tokens. */
const LARGE_HEADER_BYTES = 16 * 1024;
/** Then a client connects again, and a load balancer can spread it. */
const REQUESTS_PER_CONNECTION = 10_000;

/** Bounds that tests shorten. */
export interface ServerBounds {
  readonly headersMs?: number;
  readonly requestMs?: number;
  /** Registrations of strangers: a second, and at once. */
  readonly registrations?: readonly [perSecond: number, burst: number];
  /** How often revocation lists are looked at, and how soon a tenant is asked for keys again. */
  readonly lookEveryMs?: number;
}

/** PEM, or null for plain HTTP behind a proxy that ends TLS. */
export type ServerTls = { readonly key: string; readonly cert: string } | null;

/** What a server is built with. */
export interface ServerOptions {
  readonly tls: ServerTls;
  /** PEM of the CAs whose client certificates are asked for; empty: none is asked for. */
  readonly clientCas: readonly string[];
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  /** Headers may hold certificates or tokens of tenants. */
  readonly largeHeaders: boolean;
  readonly bounds?: ServerBounds | undefined;
}

/** Builds the HTTP server of a gateway; it listens to nothing yet. */
export function buildServer(context: GatewayContext, options: ServerOptions): FastifyInstance {
  const { tls, bounds = {} } = options;
  const node = {
    maxHeaderSize: options.largeHeaders ? LARGE_HEADER_BYTES : HEADER_BYTES,
    headersTimeout: bounds.headersMs ?? TIMES.headers,
    requestTimeout: bounds.requestMs ?? TIMES.request,
    keepAliveTimeout: TIMES.keepAlive,
    connectionsCheckingInterval: Math.min(TIMES.check, (bounds.headersMs ?? TIMES.headers) / 2),
  };
  const server = fastify({
    logger: false,
    bodyLimit: LIMITS.envelopeBytes,
    exposeHeadRoutes: false,
    // Draining is answered by the admission hook, as a problem.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    serverFactory: (handler) => {
      const made: Server =
        tls === null
          ? createHttpServer(node, handler)
          : createHttpsServer(
              {
                ...node,
                handshakeTimeout: TIMES.handshake,
                ...secureOptions(tls, options.clientCas),
              },
              handler,
            );
      made.maxConnections = options.maxConnections;
      limitConnections(made, options.maxConnectionsPerAddress, context.proxies, tooMany(context));
      made.maxRequestsPerSocket = REQUESTS_PER_CONNECTION;
      // No life on a connection; above the longest wait for a reply.
      made.setTimeout((LIMITS.waitSeconds + 45) * 1000);
      made.on('clientError', answerBroken);
      return made;
    },
  });
  server.removeAllContentTypeParsers();
  // Bytes, whatever the type says: the type was judged before the body is read.
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  server.addHook('onRequest', admission(context));
  server.addHook('onRequest', limitHeaders);
  server.addHook('onRequest', context.limits.refuseLately);
  server.addHook('onSend', endConnections(context));
  server.setErrorHandler((error, request, reply) =>
    sendProblem(request, closeUnread(request, reply), toProblem(error, context)),
  );
  answerUnknown(server);
  postMessages(server, context);
  getMessage(server, context);
  postClients(server, context);
  getNonce(server, context);
  postToken(server, context);
  getSite(server, context);
  return server;
}

/** All that decides over TLS; a later key and chain come with the same. */
export function secureOptions(
  tls: NonNullable<ServerTls>,
  clientCas: readonly string[],
): SecureContextOptions {
  return { key: tls.key, cert: tls.cert, minVersion: 'TLSv1.2', ...clientCertificates(clientCas) };
}

/**
 * Asks for a client certificate and takes connections without one, or with one that does not verify:
 * requests are judged one by one, and the site document is for everybody. Sessions are not resumed,
 * because a resumed one shows no chain.
 */
function clientCertificates(cas: readonly string[]): object {
  if (cas.length === 0) return {};
  return {
    requestCert: true,
    rejectUnauthorized: false,
    ca: [...cas],
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** Says that an address has too many connections, once in a while. */
function tooMany(context: GatewayContext): (network: string) => void {
  let toldAt = -Infinity;
  return (network) => {
    if (performance.now() - toldAt < 10_000) return;
    toldAt = performance.now();
    context.log.warn(
      { event: 'gateway.too_many_connections', network },
      'an address has too many connections',
    );
  };
}
