import { MemoryStateStore, MpeClient, type ClientEvent, type ClientOptions } from '../../src/client/index.js';
import { guidFromBytes, NIL_GUID, type Guid } from '../../src/protocol/guid.js';
import { formatRecoveryPassword } from '../../src/protocol/recovery-password.js';
import type { Disposition } from '../../src/protocol/vocabulary.js';
import type { SecretKind } from '../../src/secrets/types.js';
import type { SeededRandom } from './random.js';

/** A secret as the machine itself knows it: what the site must have in the end. */
export interface OwnCopy {
  readonly kind: SecretKind;
  readonly keyId: Guid;
  readonly volumeId: Guid;
  /** A password's canonical text in UTF-8, else the bytes. */
  readonly value: Buffer;
}

/** A message that a client has made. */
export interface MadeMessage {
  readonly clientId: Guid;
  readonly messageId: Guid;
  readonly bodyType: string;
  readonly copies: readonly OwnCopy[];
}

/** Clients with messages that are not sent yet: can be sent several times, to copies of one site. */
export interface FleetSnapshot {
  /** The clients' states. */
  readonly states: readonly string[];
  readonly messages: readonly MadeMessage[];
}

/** A verified reply. */
export interface Told {
  readonly clientId: Guid;
  readonly messageId: Guid;
  readonly disposition: Disposition;
}

/** What a drain came to. */
export interface FleetReport {
  /** Verified replies, in the order in which they came. */
  readonly told: readonly Told[];
  /** Requests that carried a message, first ones and re-sends. */
  readonly sent: number;
  readonly pending: number;
  /** Milliseconds from the first send of a message to its verified reply. */
  readonly latencies: readonly number[];
}

// Quick, so that a run ends soon after the last restart; real clients back off for minutes.
const QUICK: ClientOptions = { backoff: { baseMs: 100, capMs: 1500 }, waitSeconds: 5, timeoutMs: 3000 };

interface Member {
  readonly client: MpeClient;
  readonly store: MemoryStateStore;
  readonly meter: Meter;
}

/** Simulated machines, each a real client of src/client with its state in memory. */
export class Fleet {
  readonly #clients: readonly Member[];
  #messages: MadeMessage[];

  private constructor(clients: readonly Member[], messages: readonly MadeMessage[]) {
    this.#clients = clients;
    this.#messages = [...messages];
  }

  /** Enrols machines. */
  static async enrol(options: {
    readonly url: string;
    readonly enrolmentToken: string;
    readonly clients: number;
    readonly namePrefix?: string;
    readonly client?: ClientOptions;
  }): Promise<Fleet> {
    const { url, enrolmentToken } = options;
    const clients = await Promise.all(
      Array.from({ length: options.clients }, async (_, index) => {
        const store = new MemoryStateStore();
        const meter = new Meter();
        const client = await MpeClient.enrol({
          ...QUICK,
          // Nothing is killed yet: an answer that is late comes.
          timeoutMs: 60_000,
          ...options.client,
          onEvent: meter.take,
          ...{ url, enrolmentToken, state: store },
          machine: {
            machineName: `${options.namePrefix ?? 'DESKTOP'}-${String(index + 1).padStart(4, '0')}`,
          },
        });
        return { client, store, meter };
      }),
    );
    return new Fleet(clients, []);
  }

  /** The same clients with the same messages, at a gateway whose address may differ. */
  static async load(snapshot: FleetSnapshot, url: string, options: ClientOptions = {}): Promise<Fleet> {
    const clients = await Promise.all(
      snapshot.states.map(async (text) => {
        const store = new MemoryStateStore();
        const moved = JSON.stringify({ ...(JSON.parse(text) as object), url });
        await store.write(() => moved);
        const meter = new Meter();
        const client = await MpeClient.load(store, { ...QUICK, ...options, onEvent: meter.take });
        return { client, store, meter };
      }),
    );
    return new Fleet(clients, snapshot.messages);
  }

  get clients(): readonly MpeClient[] {
    return this.#clients.map((one) => one.client);
  }

  get messages(): readonly MadeMessage[] {
    return this.#messages;
  }

  /** Verified replies until now; rises while `drain` runs. */
  get replies(): number {
    return this.#clients.reduce((sum, one) => sum + one.meter.told.length, 0);
  }

  /** Messages that were sent and have no verified reply yet. */
  get inFlight(): number {
    return this.#clients.reduce((sum, one) => sum + one.meter.inFlight, 0);
  }

  /** Makes messages of every kind that ends COMMITTED, in turn for all clients; sends nothing. */
  async prepare(count: number, random: SeededRandom): Promise<void> {
    for (let index = 0; index < count; index += 1) {
      const client = this.#clients[index % this.#clients.length]?.client;
      if (client === undefined) throw new Error('a fleet without clients');
      this.#messages.push(...(await makeMessage(client, random, index)));
    }
  }

  /** The clients' states as they are now. */
  async snapshot(): Promise<FleetSnapshot> {
    const states = await Promise.all(
      this.#clients.map(async ({ store }) => {
        const text = await store.read();
        if (text === null) throw new Error('a client without state');
        return text;
      }),
    );
    return { states, messages: this.#messages };
  }

  /**
   * Sends everything, again and again, until every message has its verified reply or the time is over.
   *
   * @param options.gate what client number n waits for before it begins.
   */
  async drain(
    timeoutMs: number,
    options: { readonly signal?: AbortSignal; readonly gate?: (client: number) => Promise<void> } = {},
  ): Promise<FleetReport> {
    const until = performance.now() + timeoutMs;
    const reports = await Promise.all(
      this.#clients.map(async ({ client }, index) => {
        await options.gate?.(index);
        const left = Math.max(until - performance.now(), 0);
        return client.drain({
          timeoutMs: left,
          ...(options.signal === undefined ? {} : { signal: options.signal }),
        });
      }),
    );
    const meters = this.#clients.map((one) => one.meter);
    return {
      told: meters.flatMap((meter, index) =>
        meter.told.map((one) => ({ clientId: this.clients[index]!.clientId, ...one })),
      ),
      sent: meters.reduce((sum, meter) => sum + meter.sent, 0),
      pending: reports.reduce((sum, report) => sum + report.pending, 0),
      latencies: meters.flatMap((meter) => meter.latencies),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map(({ client }) => client.close()));
  }
}

/** Counts what a client tells. */
class Meter {
  readonly told: { messageId: Guid; disposition: Disposition }[] = [];
  readonly latencies: number[] = [];
  readonly #first = new Map<Guid, number>();
  sent = 0;

  get inFlight(): number {
    return this.#first.size - this.told.length;
  }

  readonly take = (event: ClientEvent): void => {
    if (event.event === 'client.message-sent' && event.how === 'POST') {
      this.sent += 1;
      if (!this.#first.has(event.messageId)) this.#first.set(event.messageId, performance.now());
    }
    if (event.event !== 'client.reply-verified') return;
    this.told.push({ messageId: event.messageId, disposition: event.disposition });
    const began = this.#first.get(event.messageId);
    if (began !== undefined) this.latencies.push(performance.now() - began);
  };
}

const guid = (random: SeededRandom): Guid => guidFromBytes(random.bytes(16));

/** Message `index` of a run: mostly escrows; some with packages, two protectors, TPM, check-ins. */
async function makeMessage(client: MpeClient, random: SeededRandom, index: number): Promise<MadeMessage[]> {
  const { clientId } = client;
  if (index % 20 === 7) {
    const value = random.bytes(20);
    const messageId = await client.escrowTpm(value);
    const copy: OwnCopy = { kind: 'TPM_OWNER_AUTH', keyId: clientId, volumeId: NIL_GUID, value };
    return [{ clientId, messageId, bodyType: 'ESCROW_TPM_OWNER_AUTH', copies: [copy] }];
  }
  if (index % 20 === 13) {
    const messageId = await client.checkIn({
      machineName: `DESKTOP-${index}`,
      domain: 'EXAMPLE',
      volumes: [{ volumeId: guid(random), volumeType: 'FIXED', keyIds: [guid(random)] }],
    });
    return [{ clientId, messageId, bodyType: 'CHECK_IN', copies: [] }];
  }
  const volumeId = guid(random);
  const copies: OwnCopy[] = [];
  const protectors = Array.from({ length: index % 5 === 0 ? 2 : 1 }, (_, n) => {
    const keyId = guid(random);
    const recoveryPassword = formatRecoveryPassword(random.bytes(16));
    copies.push({ kind: 'RECOVERY_PASSWORD', keyId, volumeId, value: Buffer.from(recoveryPassword) });
    if (index % 10 !== 3 || n > 0) return { keyId, recoveryPassword };
    const keyPackage = random.bytes(1700);
    copies.push({ kind: 'KEY_PACKAGE', keyId, volumeId, value: keyPackage });
    return { keyId, recoveryPassword, keyPackage };
  });
  const volumeType = random.pick(['OS', 'FIXED', 'REMOVABLE'] as const);
  const ids = await client.escrow([{ volumeId, volumeType, driveLabel: 'C:', protection: 'ON', protectors }]);
  return ids.map((messageId) => ({ clientId, messageId, bodyType: 'ESCROW_RECOVERY_KEYS', copies }));
}
