import { readFileSync } from 'node:fs';
import type { ClientEvent, ClientOptions, DrainReport, SettledMessage } from '../client/index.js';
import { MpeClient } from '../client/index.js';
import { loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { channelOptions } from './client-channel.js';
import { print, printJson, warn } from './output.js';

/** Options that every sending subcommand has. */
export interface SendOptions {
  readonly wait: number;
  readonly timeout: number;
  readonly json: boolean;
  readonly verbose: boolean;
}

/** Tells on standard error what happens; never a secret. */
export function tellEvents(verbose: boolean): ClientOptions {
  return {
    onEvent: (event: ClientEvent) => {
      const { event: name, ...facts } = event;
      if (verbose || LOUD.has(name)) warn(`${name} ${JSON.stringify(facts)}`);
    },
  };
}

/** What people must see without asking. */
const LOUD: ReadonlySet<string> = new Set([
  'client.reply-refused',
  'client.site-document-refused',
  'client.site-document-expired',
  'client.tls-dates',
  'client.register-anew',
  'client.registration-waits',
]);

/** Loads the client of `MPE_CLIENT_HOME` for one piece of work and closes it whatever happens. */
export async function withClient<T>(
  options: ClientOptions,
  work: (client: MpeClient) => Promise<T>,
): Promise<T> {
  const config = loadConfig();
  const client = await MpeClient.load(config.clientHome, { ...channelOptions(config), ...options });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** Sends what is pending and prints what the verified replies said. Exit status 3 where some wait. */
export async function drainAndPrint(client: MpeClient, options: SendOptions): Promise<void> {
  const report = await client.drain({ timeoutMs: options.timeout * 1000 });
  if (options.json) printJson({ ...report, pending: client.pending(), commands: client.commands() });
  else printReport(client, report);
  if (report.pending > 0) process.exitCode = 3;
}

function printReport(client: MpeClient, report: DrainReport): void {
  for (const message of report.settled) print(...settledLines(message));
  for (const message of client.pending()) {
    print(
      `pending    ${message.messageId}  ${message.bodyType}  ${message.lastSaid}; keep the old protector`,
    );
  }
  for (const command of client.commands()) {
    print(
      command.type === 'ROTATE_KEY'
        ? `command    ROTATE_KEY ${command.keyId} of volume ${command.volumeId}, request ${command.requestId}`
        : `command    ESCROW ${command.keyIds.join(', ')} of volume ${command.volumeId}`,
    );
  }
  if (report.settled.length === 0 && report.pending === 0) print('nothing to send');
}

/** A settled message as lines: its disposition, then each key ID. */
export function settledLines(message: SettledMessage): string[] {
  const reason = message.reason === 'NONE' ? '' : ` ${message.reason}`;
  return [
    `${message.disposition}${reason}  ${message.messageId}  ${message.bodyType}  sequence ${message.sequence}  (verified)`,
    ...message.keys.map((key) => {
      const why = key.reason === 'NONE' ? '' : ` ${key.reason}`;
      const group = key.badGroup === 0 ? '' : ` (group ${key.badGroup})`;
      return `  key ${key.keyId}  ${key.status}${why}${group}`;
    }),
    ...(message.tpmOwnerAuth === null
      ? []
      : [`  TPM owner authorization  ${message.tpmOwnerAuth.status} ${message.tpmOwnerAuth.reason}`]),
  ];
}

/**
 * Reads a file, or standard input for `-`.
 *
 * @throws MpeError USAGE where it cannot be read.
 */
function readText(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (cause) {
    throw new MpeError('USAGE', `${path === '-' ? 'standard input' : path} cannot be read`, { cause });
  }
}

/**
 * Reads a JSON file, or standard input for `-`. Secrets are read this way, never from arguments,
 * which every process of the machine can see.
 *
 * @throws MpeError USAGE where it cannot be read or is not JSON; the content never stands in it.
 */
export function readJson(path: string): unknown {
  const text = readText(path);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new MpeError('USAGE', `${path === '-' ? 'standard input' : path} is no JSON`);
  }
}

/**
 * The enrolment token of a command, from `--token` or `--token-file`.
 *
 * @throws MpeError USAGE where not exactly one of them is given.
 */
export function enrolmentTokenOf(flags: { readonly token?: string; readonly tokenFile?: string }): string {
  if ((flags.token === undefined) === (flags.tokenFile === undefined)) {
    throw new MpeError('USAGE', 'give the enrolment token by --token or by --token-file');
  }
  return (flags.token ?? readText(flags.tokenFile ?? '-')).trim();
}
