import { X509Certificate } from 'node:crypto';
import { Agent, type RequestOptions } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { MpeError } from '../ops/errors.js';
import { checkLeaf, dateWarning, presentedChain } from './presented-chain.js';

/** A server that accepts and then says nothing is given up after this. */
const HANDSHAKE_MS = 10_000;

/** What a {@link PinnedAgent} needs to know. */
export interface PinnedAgentOptions {
  /** The CA, PEM. */
  readonly ca: string;
  /** Local time, for the date warning alone. */
  readonly now: () => number;
  readonly onDateWarning: (detail: string) => void;
  readonly maxSockets: number;
  /** Shown to a gateway that asks for one. */
  readonly certificate?: { readonly cert: string; readonly key: string } | null;
}

/**
 * A keep-alive agent that hands out a connection only after the server's certificate has been
 * checked against the one pinned CA: not a byte of a request leaves before.
 *
 * Node's own verification is off because it cannot be told to warn about dates and to insist on
 * everything else; `checkLeaf` insists.
 */
export class PinnedAgent extends Agent {
  readonly #ca: X509Certificate;
  readonly #settings: PinnedAgentOptions;

  constructor(options: PinnedAgentOptions) {
    // Without resumption each connection shows its certificate.
    super({ keepAlive: true, maxSockets: options.maxSockets, maxCachedSessions: 0 });
    this.#settings = options;
    this.#ca = new X509Certificate(options.ca);
  }

  override createConnection(
    options: RequestOptions,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const host = options.host ?? 'localhost';
    let answered = false;
    const answer = (error: Error | null, socket: TLSSocket): void => {
      if (answered) return;
      answered = true;
      if (error !== null) socket.destroy();
      callback?.(error, socket);
    };
    const socket = connect({
      ...(options as ConnectionOptions),
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ca: [this.#settings.ca],
      ...this.#settings.certificate,
      minVersion: 'TLSv1.2',
      rejectUnauthorized: false,
    });
    socket.setTimeout(HANDSHAKE_MS, () => {
      answer(new MpeError('UNREACHABLE', `${host} does not finish the TLS handshake`), socket);
    });
    socket.once('error', (error: Error) => answer(error, socket));
    socket.once('close', () =>
      answer(new MpeError('UNREACHABLE', `${host} closed the connection during the TLS handshake`), socket),
    );
    socket.once('secureConnect', () => {
      try {
        this.#check(socket, host);
        socket.setTimeout(0);
        socket.removeAllListeners('timeout');
        answer(null, socket);
      } catch (error) {
        answer(error as Error, socket);
      }
    });
    return undefined;
  }

  #check(socket: TLSSocket, host: string): void {
    const leaf = presentedChain(socket)[0];
    if (leaf === undefined) {
      throw new MpeError('NOT_AUTHENTIC', `the server at ${host} presents no certificate`);
    }
    checkLeaf(leaf, this.#ca, host);
    const warning = dateWarning(leaf, this.#settings.now());
    if (warning !== null) this.#settings.onDateWarning(warning);
  }
}
