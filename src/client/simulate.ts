import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { MpeError } from '../ops/errors.js';
import { newGuid, type Guid } from '../protocol/guid.js';
import type { Disposition, Reason } from '../protocol/vocabulary.js';
import { MpeClient } from './client.js';
import type { ClientOptions } from './context.js';
import type { Machine } from './registration.js';
import { randomRecoveryPassword } from './random-password.js';
import { MemoryStateStore } from './state-store.js';
import type { SettledMessage } from './state.js';

/** What to simulate. */
export interface SimulateOptions extends ClientOptions {
  readonly url: string;
  readonly enrolmentToken: string;
  readonly clients: number;
  readonly messagesPerClient: number;
  /** Protectors with a password in each message, 1 to 8. Default 1. */
  readonly keysPerMessage?: number;
  /**
   * A folder for the clients' states, one folder each: clients then survive kill -9, and running
   * again with the same folder goes on. Default: in memory.
   */
  readonly stateDir?: string;
  /** Clients that enrol at a time. Default 16. */
  readonly enrolConcurrency?: number;
  readonly registrationTimeoutMs?: number;
  /** Milliseconds for all messages of a client. Default: no end. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Called with each message that a verified reply ended. */
  readonly onSettled?: (entry: LedgerEntry) => void;
  /** Called when all clients are enrolled and before the first message, e.g. to start a stop-watch. */
  readonly onEnrolled?: (clients: readonly Guid[]) => void;
  /** Fixed passwords, e.g. a canary; otherwise random ones. */
  readonly password?: (client: number, message: number, key: number) => string | undefined;
}

/** One message: what was sent and what the client was told by a verified reply. */
export interface LedgerEntry {
  readonly clientId: Guid;
  readonly messageId: Guid;
  readonly volumeId: Guid;
  /** What was sent. In memory alone: `secretHash` is for files. */
  readonly keys: readonly { readonly keyId: Guid; readonly recoveryPassword: string }[];
  /** Verified; null where no verified reply came in time. */
  readonly told: {
    readonly disposition: Disposition;
    readonly reason: Reason;
    /** Key IDs that the reply listed as committed. */
    readonly committed: readonly string[];
  } | null;
  /** Times that it was sent or asked for. */
  readonly attempts: number;
  /** Milliseconds from the message being made to its verified reply; null where none came. */
  readonly tookMs: number | null;
}

/** What all clients were told. */
export interface SimulationLedger {
  readonly entries: readonly LedgerEntry[];
  readonly clients: readonly Guid[];
  readonly counts: Readonly<Record<Disposition | 'UNANSWERED', number>>;
  /** Sendings beyond the first of each message. */
  readonly resent: number;
}

/** Messages of one client that are on disk at a time: its state is one file, written as a whole. */
const WINDOW = 64;

interface Open {
  readonly messageId: Guid;
  readonly volumeId: Guid;
  readonly keys: { keyId: Guid; recoveryPassword: string }[];
  readonly madeMs: number;
  attempts: number;
}

/**
 * Runs many clients against a gateway, each sending escrow messages with passwords that are known
 * here, and returns what each was told: the list that an audit holds against the database.
 *
 * Every message of a client is about one volume of its own and names the keys of that message as
 * the volume's current set, as a client does that rotates each time.
 *
 * @throws MpeError where a client cannot enrol; messages that get no answer in time are in the
 *   ledger with `told: null`.
 */
export async function simulate(options: SimulateOptions): Promise<SimulationLedger> {
  const opens = new Map<Guid, Open>();
  const entries: LedgerEntry[] = [];
  const clients = await enrolAll(options, opens);
  try {
    options.onEnrolled?.(clients.map((one) => one.clientId));
    await Promise.all(
      clients.map(async (client, index) => {
        entries.push(...(await runClient(client, index, options, opens)));
      }),
    );
    return summary(
      entries,
      clients.map((one) => one.clientId),
    );
  } finally {
    await Promise.all(clients.map((one) => one.close()));
  }
}

/** Key ID → password, of the keys that a verified reply listed as committed. For audits. */
export function ledgerSecrets(ledger: SimulationLedger): Map<string, string> {
  return new Map(
    ledger.entries.flatMap((entry) =>
      entry.keys
        .filter((key) => entry.told?.committed.includes(key.keyId) === true)
        .map((key) => [key.keyId, key.recoveryPassword] as const),
    ),
  );
}

/** SHA-256 of a canonical password, hex: what a ledger file may hold. */
export function secretHash(recoveryPassword: string): string {
  return createHash('sha256').update(recoveryPassword, 'utf8').digest('hex');
}

async function enrolAll(options: SimulateOptions, opens: ReadonlyMap<Guid, Open>): Promise<MpeClient[]> {
  const made: MpeClient[] = [];
  const numbers = Array.from({ length: options.clients }, (_, index) => index);
  const lane = async (): Promise<void> => {
    for (let index = numbers.shift(); index !== undefined; index = numbers.shift()) {
      made[index] = await enrolOne(options, index, opens);
    }
  };
  const results = await Promise.allSettled(Array.from({ length: options.enrolConcurrency ?? 16 }, lane));
  const failed = results.find((one) => one.status === 'rejected');
  if (failed === undefined) return made;
  await Promise.all(Object.values(made).map((one) => one.close()));
  throw failed.reason;
}

function enrolOne(
  options: SimulateOptions,
  index: number,
  opens: ReadonlyMap<Guid, Open>,
): Promise<MpeClient> {
  const machine: Partial<Machine> = { machineName: `SIM-${String(index).padStart(5, '0')}`, domain: 'SIM' };
  return MpeClient.enrol({
    ...options,
    state:
      options.stateDir === undefined
        ? new MemoryStateStore()
        : join(options.stateDir, `client-${String(index)}`),
    machine,
    onEvent: (event) => {
      options.onEvent?.(event);
      if (event.event !== 'client.message-sent') return;
      const open = opens.get(event.messageId);
      if (open !== undefined) open.attempts += 1;
    },
  });
}

async function runClient(
  client: MpeClient,
  index: number,
  options: SimulateOptions,
  opens: Map<Guid, Open>,
): Promise<LedgerEntry[]> {
  const entries: LedgerEntry[] = [];
  const volumeId = newGuid();
  const until = performance.now() + (options.timeoutMs ?? Infinity);
  const record = (open: Open, settled: SettledMessage | null): void => {
    const entry = entryOf(client.clientId, open, settled);
    entries.push(entry);
    opens.delete(open.messageId);
    if (settled !== null) options.onSettled?.(entry);
  };
  for (let first = 0; first < options.messagesPerClient; first += WINDOW) {
    const mine: Open[] = [];
    const last = Math.min(first + WINDOW, options.messagesPerClient);
    for (let message = first; message < last; message += 1) {
      mine.push(
        await makeMessage(client, volumeId, (key) => options.password?.(index, message, key), options),
      );
    }
    for (const open of mine) opens.set(open.messageId, open);
    await client.drain({
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: Math.max(until - performance.now(), 0) }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      onSettled: (settled) => {
        const open = opens.get(settled.messageId);
        if (open !== undefined) record(open, settled);
      },
    });
    for (const open of mine) if (opens.has(open.messageId)) record(open, null);
    if (options.signal?.aborted === true) break;
  }
  return entries;
}

async function makeMessage(
  client: MpeClient,
  volumeId: Guid,
  password: (key: number) => string | undefined,
  options: SimulateOptions,
): Promise<Open> {
  const keys = Array.from({ length: options.keysPerMessage ?? 1 }, (_, key) => ({
    keyId: newGuid(),
    recoveryPassword: password(key) ?? randomRecoveryPassword(),
  }));
  const madeMs = performance.now();
  const [messageId] = await client.escrow([
    { volumeId, volumeType: 'OS', driveLabel: 'C:', protection: 'ON', protectors: keys },
  ]);
  if (messageId === undefined) throw new MpeError('INTERNAL', 'an escrow of one volume makes one message');
  return { messageId, volumeId, keys, madeMs, attempts: 0 };
}

function entryOf(clientId: Guid, open: Open, settled: SettledMessage | null): LedgerEntry {
  const { messageId, volumeId, keys, attempts, madeMs } = open;
  return {
    clientId,
    messageId,
    volumeId,
    keys,
    told:
      settled === null
        ? null
        : {
            disposition: settled.disposition,
            reason: settled.reason,
            committed: settled.keys.filter((key) => key.status === 'COMMITTED').map((key) => key.keyId),
          },
    attempts,
    tookMs: settled === null ? null : performance.now() - madeMs,
  };
}

function summary(entries: readonly LedgerEntry[], clients: readonly Guid[]): SimulationLedger {
  const counts = {
    QUEUED: 0,
    COMMITTED: 0,
    ALREADY_COMMITTED: 0,
    PARTIAL: 0,
    REJECTED: 0,
    QUARANTINED: 0,
    UNANSWERED: 0,
  };
  let resent = 0;
  for (const entry of entries) {
    counts[entry.told?.disposition ?? 'UNANSWERED'] += 1;
    resent += Math.max(entry.attempts - 1, 0);
  }
  return { entries, clients, counts, resent };
}
