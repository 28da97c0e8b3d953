import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

/** Which way bytes go. */
export type Direction = 'toServer' | 'toClient';

/** Types of TDS messages (MS-TDS 2.2.3.1.1). Everything a server sends is `answer`. */
export const TDS = {
  batch: 1,
  rpc: 3,
  answer: 4,
  attention: 6,
  transaction: 14,
  login: 16,
  preLogin: 18,
} as const;

/**
 * What a fault does to a connection.
 *  * cut: both sides are closed
 *  * reset: the client gets a TCP reset
 *  * silent: half-open; nothing is passed on any more, and nobody is told
 *  * delay: what follows in this direction comes `delayMs` later
 */
export type FaultKind = 'cut' | 'reset' | 'silent' | 'delay';

/** A fault at one place of a connection. */
export interface Fault {
  readonly kind: FaultKind;
  readonly direction: Direction;
  /**
   * Where: the n-th message of a type (from 1), before its first byte passes, or after its last;
   * or a number of bytes that still pass. Messages are counted from the moment the fault was set.
   */
  readonly at:
    { readonly message: number; readonly type: number; readonly after?: boolean } | { readonly byte: number };
  readonly delayMs?: number;
}

/** A fault that was set. */
export interface SetFault extends Fault {
  /** Some connection has reached its place. */
  readonly struck: boolean;
}

/** A message that passed. */
export interface SeenMessage {
  readonly direction: Direction;
  readonly type: number;
}

const HEADER_BYTES = 8;
const END_OF_MESSAGE = 0x01;

/**
 * A TCP proxy before a real SQL Server that breaks connections at a chosen place. It reads the
 * headers of TDS packets to know where messages start and end; that needs a connection without TLS.
 */
export class FaultProxy {
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #lines = new Set<Line>();
  #next: Fault[] = [];

  private constructor(server: Server, target: { host: string; port: number }) {
    this.#server = server;
    this.#target = target;
    server.on('connection', (client) => this.#accept(client));
  }

  /** Listens on a free port of the loopback. */
  static async open(target: { readonly host: string; readonly port: number }): Promise<FaultProxy> {
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FaultProxy(server, target);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that stand now. */
  get connections(): number {
    return this.#lines.size;
  }

  /** Every message that passed, over all connections, oldest first. */
  readonly seen: SeenMessage[] = [];

  /**
   * Sets one fault on the connections that stand and those to come. It strikes once, on the
   * connection that reaches its place first.
   *
   * @returns the fault; `struck` tells whether it has
   */
  break(fault: Fault): SetFault {
    const once: OneFault = { ...fault, struck: false };
    this.#next.push(once);
    for (const line of this.#lines) line.set(once);
    return once;
  }

  /** Sets no more faults; those that have struck stay. */
  heal(): void {
    this.#next = [];
    for (const line of this.#lines) line.clear();
  }

  /** Cuts all connections now. */
  cutAll(): void {
    for (const line of this.#lines) line.destroy();
  }

  /** Goes silent on all connections now, and on new ones until `heal`. */
  silenceAll(): void {
    this.break({ kind: 'silent', direction: 'toServer', at: { byte: 0 } });
    for (const line of this.#lines) line.silence();
  }

  async close(): Promise<void> {
    this.cutAll();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(client: Socket): void {
    const line = new Line(client, connect({ ...this.#target, noDelay: true }), (message) =>
      this.seen.push(message),
    );
    for (const fault of this.#next) line.set(fault as OneFault);
    this.#lines.add(line);
    line.onEnd(() => this.#lines.delete(line));
  }
}

interface OneFault extends Fault {
  struck: boolean;
}

/** A fault on one line, with what still has to pass before it strikes. */
interface Armed {
  readonly fault: OneFault;
  left: number;
}

/** One connection: two sockets, and what goes between them. */
class Line {
  readonly #client: Socket;
  readonly #server: Socket;
  #armed: Armed[] = [];
  #silent = false;
  readonly #delays: Record<Direction, number> = { toServer: 0, toClient: 0 };

  constructor(client: Socket, server: Socket, seen: (message: SeenMessage) => void) {
    this.#client = client;
    this.#server = server;
    // An error is the end of the other side as well, or the fault itself.
    for (const socket of [client, server]) socket.on('error', () => this.destroy());
    client.on('close', () => this.#endOf(server));
    server.on('close', () => this.#endOf(client));
    this.#pipe(client, server, 'toServer', seen);
    this.#pipe(server, client, 'toClient', seen);
  }

  set(fault: OneFault): void {
    this.#armed.push({ fault, left: 'byte' in fault.at ? fault.at.byte : fault.at.message });
  }

  clear(): void {
    this.#armed = [];
  }

  silence(): void {
    this.#silent = true;
  }

  destroy(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  onEnd(callback: () => void): void {
    this.#client.once('close', callback);
  }

  #endOf(other: Socket): void {
    // Where the line is silent, nobody hears that the other side went away.
    if (this.#silent && other === this.#client) return;
    other.destroy();
  }

  #pipe(from: Socket, to: Socket, direction: Direction, seen: (message: SeenMessage) => void): void {
    const framer = new TdsFramer();
    from.on('data', (chunk: Buffer) => {
      for (const piece of framer.split(chunk)) {
        if (piece.starts !== null) {
          this.#message(direction, piece.starts, false);
          if (!this.#silent) seen({ direction, type: piece.starts });
        }
        const passing = this.#bytes(direction, piece.bytes);
        if (this.#silent || to.destroyed) {
          if (passing.length > 0 && !to.destroyed) this.#write(to, direction, passing);
          return;
        }
        this.#write(to, direction, passing);
        if (piece.ends !== null) this.#message(direction, piece.ends, true);
      }
    });
  }

  #write(to: Socket, direction: Direction, bytes: Buffer): void {
    if (bytes.length === 0) return;
    const delay = this.#delays[direction];
    if (delay === 0) to.write(bytes);
    else setTimeout(() => to.write(bytes), delay).unref();
  }

  /** A message starts or has ended: faults that stand there strike. */
  #message(direction: Direction, type: number, ended: boolean): void {
    for (const armed of this.#armed) {
      const { at } = armed.fault;
      if (!('message' in at) || armed.fault.direction !== direction || at.type !== type) continue;
      if ((at.after ?? false) !== ended) continue;
      armed.left -= 1;
      if (armed.left === 0) this.#strike(armed.fault);
    }
  }

  /** Bytes pass: those before a fault that stands among them. */
  #bytes(direction: Direction, bytes: Buffer): Buffer {
    if (this.#silent) return Buffer.alloc(0);
    for (const armed of this.#armed) {
      if (!('byte' in armed.fault.at) || armed.fault.direction !== direction || armed.left < 0) continue;
      if (armed.left > bytes.length) {
        armed.left -= bytes.length;
        continue;
      }
      const passing = bytes.subarray(0, armed.left);
      armed.left = -1;
      this.#strike(armed.fault);
      return armed.fault.kind === 'delay' ? bytes : passing;
    }
    return bytes;
  }

  #strike(fault: OneFault): void {
    if (fault.struck) return;
    fault.struck = true;
    switch (fault.kind) {
      case 'cut':
        // What was written before still leaves: end, then destroy.
        this.#client.end(() => this.destroy());
        this.#server.end();
        this.#silent = true;
        return;
      case 'reset':
        this.#client.resetAndDestroy();
        this.#server.destroy();
        return;
      case 'silent':
        this.#silent = true;
        return;
      case 'delay':
        this.#delays[fault.direction] = fault.delayMs ?? 0;
    }
  }
}

/** A piece of a stream: of one message, with whether it holds the message's start and its end. */
interface Piece {
  readonly bytes: Buffer;
  readonly starts: number | null;
  readonly ends: number | null;
}

/** Cuts a TDS stream at the bounds of its packets (8-byte header: type, status, length). */
export class TdsFramer {
  #header = Buffer.alloc(0);
  #left = 0;
  #type = 0;
  #isLast = true;

  *split(chunk: Buffer): Generator<Piece> {
    let rest = chunk;
    while (rest.length > 0) {
      let starts: number | null = null;
      let bytes: Buffer;
      if (this.#left === 0) {
        const header = Buffer.concat([this.#header, rest.subarray(0, HEADER_BYTES - this.#header.length)]);
        rest = rest.subarray(HEADER_BYTES - this.#header.length);
        this.#header = header;
        if (header.length < HEADER_BYTES) return;
        this.#header = Buffer.alloc(0);
        this.#left = Math.max(0, header.readUInt16BE(2) - HEADER_BYTES);
        if (this.#isLast) starts = this.#type = header.readUInt8(0);
        this.#isLast = (header.readUInt8(1) & END_OF_MESSAGE) !== 0;
        const body = rest.subarray(0, this.#left);
        bytes = Buffer.concat([header, body]);
        this.#left -= body.length;
        rest = rest.subarray(body.length);
      } else {
        bytes = rest.subarray(0, this.#left);
        this.#left -= bytes.length;
        rest = rest.subarray(bytes.length);
      }
      yield { bytes, starts, ends: this.#left === 0 && this.#isLast ? this.#type : null };
    }
  }
}
