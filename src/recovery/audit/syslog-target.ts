import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import type { AuditSettings } from '../../config/index.js';
import { MpeError } from '../../ops/errors.js';
import type { AuditRow } from '../../store/disclosure-store.js';
import type { Sent, SinkTarget } from './sink-target.js';
import { framed, syslogMessage } from './syslog-message.js';

/** Connecting, and writing one batch. */
const TIMEOUT_MS = 15_000;
/** More than a socket and a kernel hold back of what was written. */
const OVERLAP = 500;
/** What was sent so long before a connection ended has arrived: collectors close idle ones. */
const ARRIVED_MS = 120_000;

/**
 * Syslog over TLS (RFC 5425). The protocol has no acknowledgement: a batch counts as taken when the
 * system has it, and after a lost connection the last rows are sent again.
 */
export class SyslogTarget implements SinkTarget {
  readonly kind = 'syslog';
  readonly id: string;
  readonly #settings: NonNullable<AuditSettings['syslog']>;
  #socket: TLSSocket | null = null;
  #sentAtMs = Number.NEGATIVE_INFINITY;

  constructor(settings: NonNullable<AuditSettings['syslog']>) {
    this.#settings = settings;
    this.id = `syslog ${settings.to.host}:${settings.to.port}`.slice(0, 128);
  }

  async send(rows: readonly AuditRow[], signal: AbortSignal): Promise<Sent> {
    const socket = await this.#connected(signal);
    const bytes = Buffer.concat(rows.map((row) => framed(syslogMessage(row, hostname()))));
    try {
      this.#sentAtMs = performance.now();
      await written(socket, bytes, signal);
      return { kind: 'taken' };
    } catch (error) {
      this.close();
      throw error;
    }
  }

  lost(): boolean {
    return this.#socket !== null && !isUsable(this.#socket);
  }

  overlap(): number {
    return performance.now() - this.#sentAtMs > ARRIVED_MS ? 0 : OVERLAP;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = null;
  }

  async #connected(signal: AbortSignal): Promise<TLSSocket> {
    if (this.#socket !== null && isUsable(this.#socket)) return this.#socket;
    this.close();
    const { to, ca, client } = this.#settings;
    const socket = connect({
      ...{ host: to.host, port: to.port, minVersion: 'TLSv1.2' },
      ...(isIP(to.host) === 0 ? { servername: to.host } : {}),
      ...(ca === null ? {} : { ca: readFileSync(ca) }),
      ...(client === null ? {} : { cert: readFileSync(client.cert), key: readFileSync(client.key) }),
    });
    // Later errors show when something is written.
    socket.on('error', () => undefined);
    // A collector sends nothing; what it sends is thrown away, so that its end is seen.
    socket.resume();
    try {
      await settled(signal, (resolve, reject) => {
        socket.once('secureConnect', resolve);
        socket.once('error', reject);
        socket.once('close', () => reject(new Error('closed')));
      });
    } catch (cause) {
      socket.destroy();
      throw unreachable(this.id, cause);
    }
    this.#socket = socket;
    return socket;
  }
}

const isUsable = (socket: TLSSocket): boolean => socket.writable && !socket.destroyed;

function written(socket: TLSSocket, bytes: Buffer, signal: AbortSignal): Promise<void> {
  return settled(signal, (resolve, reject) => {
    socket.once('close', () => reject(new Error('closed')));
    socket.write(bytes, (error) => (error === undefined || error === null ? resolve() : reject(error)));
  }).catch((cause: unknown) => {
    throw unreachable('syslog', cause);
  });
}

/** A promise that ends in time and with the signal. */
function settled(
  signal: AbortSignal,
  start: (resolve: () => void, reject: (error: Error) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer in time')), TIMEOUT_MS);
    const abort = (): void => reject(new Error('the service ends'));
    signal.addEventListener('abort', abort, { once: true });
    const done = (end: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      end();
    };
    start(
      () => done(resolve),
      (error) => done(() => reject(error)),
    );
  });
}

function unreachable(where: string, cause: unknown): MpeError {
  const text = cause instanceof Error ? cause.message : 'unknown error';
  return new MpeError('UNREACHABLE', `${where}: ${text}`, { cause });
}
