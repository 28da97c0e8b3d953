import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer, request, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';

/** What a gateway answers. */
export interface Answer {
  readonly status: number;
  readonly body?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request as the gateway sees it. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly body: Buffer;
}

/** Decides an answer; null: pass the request on to the real gateway. `real` asks it by hand. */
export type Lie = (seen: Seen, real: () => Promise<Answer>) => Promise<Answer | null> | Answer | null;

/** The TLS identity that a gateway shows: key and chain, PEM. */
export interface ShownTls {
  readonly key: string | Buffer;
  readonly cert: string | Buffer;
}

/**
 * A gateway in wrong hands: it has a TLS identity (stolen or its own), passes requests on to the
 * real gateway, and lies where `lie` says so.
 */
export class StolenGateway {
  readonly seen: Seen[] = [];
  lie: Lie = () => null;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(tls: ShownTls, real: string): Promise<StolenGateway> {
    const server = createServer({ key: tls.key, cert: tls.cert });
    const gateway = new StolenGateway(server);
    server.on('request', (incoming, outgoing) => {
      gateway.#answer(incoming, real).then(
        ({ status, body, headers }) => {
          outgoing.writeHead(status, headers ?? {});
          outgoing.end(body);
        },
        // The client has hung up, or the real gateway is gone: so is this connection.
        () => outgoing.destroy(),
      );
    });
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return gateway;
  }

  get url(): string {
    return `https://localhost:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** Requests to a path that begins so. */
  count(method: string, path: string): number {
    return this.seen.filter((one) => one.method === method && one.path.startsWith(path)).length;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(incoming: IncomingMessage, realUrl: string): Promise<Answer> {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part as Buffer);
    const seen = { method: incoming.method ?? '', path: incoming.url ?? '', body: Buffer.concat(parts) };
    this.seen.push(seen);
    const real = (): Promise<Answer> => pass(incoming, seen, realUrl);
    return (await this.lie(seen, real)) ?? real();
  }
}

function pass(incoming: IncomingMessage, seen: Seen, realUrl: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { ...incoming.headers, host: new URL(realUrl).host };
    const sent = request(
      new URL(seen.path, realUrl),
      { method: seen.method, headers, rejectUnauthorized: false, agent: false },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            body: Buffer.concat(parts),
            headers: { 'content-type': response.headers['content-type'] ?? '' },
          }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(seen.body);
  });
}
