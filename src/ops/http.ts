import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';

/**
 * What readiness rests on: does something, or throws saying what is wrong. A text that it returns
 * stands in the answer in place of `ok`, for what people should see although the process is ready.
 */
export type ReadyCheck = () => Promise<unknown>;

/** How {@link startOpsServer} is called. */
export interface OpsServerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  /** By name, e.g. `redis`, `store`. Each is given up after `checkBoundMs`. */
  readonly checks: Readonly<Record<string, ReadyCheck>>;
  /** True once the process is going down: not ready, whatever the checks say. */
  readonly draining: () => boolean;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  readonly log: Logger;
  /** Default 2 s. */
  readonly checkBoundMs?: number;
}

/** A running ops server. */
export interface OpsServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves what operators and probes ask, on a port of its own:
 *  * `GET /healthz`: 200 while the process turns its event loop. No dependency: a database that is
 *    down must not get every process restarted.
 *  * `GET /readyz`: 200 where every check passes, else 503; the body names each.
 *  * `GET /metrics`: Prometheus text.
 *
 * @throws Error of the listening socket, e.g. EADDRINUSE.
 */
export async function startOpsServer(options: OpsServerOptions): Promise<OpsServer> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      options.log.error({ event: 'ops.failed', error }, 'an ops request failed');
      if (!response.headersSent) send(response, 500, 'text/plain', 'failed\n');
    });
  });
  server.headersTimeout = 5000;
  server.requestTimeout = 5000;
  server.keepAliveTimeout = 5000;
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.listen.port, options.listen.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  options: OpsServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.resume();
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    send(response, 405, 'text/plain', 'GET only\n');
    return;
  }
  switch ((request.url ?? '').replace(/\?.*/s, '')) {
    case '/healthz':
      send(response, 200, 'text/plain', 'ok\n');
      return;
    case '/readyz': {
      const { ready, checks } = await readiness(options);
      send(response, ready ? 200 : 503, 'application/json', `${JSON.stringify({ ready, checks })}\n`);
      return;
    }
    case '/metrics': {
      const { contentType, text } = await options.metrics();
      send(response, 200, contentType, text);
      return;
    }
    default:
      send(response, 404, 'text/plain', '/healthz, /readyz, /metrics\n');
  }
}

/** Runs every check, each within its bound; `ok` or what is wrong. */
async function readiness(
  options: OpsServerOptions,
): Promise<{ readonly ready: boolean; readonly checks: Record<string, string> }> {
  if (options.draining()) return { ready: false, checks: { process: 'draining' } };
  const entries = await Promise.all(
    Object.entries(options.checks).map(async ([name, check]) => {
      try {
        const note = await within(check(), options.checkBoundMs ?? 2000);
        return { name, fine: true, text: typeof note === 'string' ? note : 'ok' };
      } catch (error) {
        return { name, fine: false, text: error instanceof Error ? error.message : 'failed' };
      }
    }),
  );
  return {
    ready: entries.every(({ fine }) => fine),
    checks: Object.fromEntries(entries.map(({ name, text }) => [name, text])),
  };
}

async function within(work: Promise<unknown>, ms: number): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' });
  response.end(body);
}
