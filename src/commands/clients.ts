import type { Command } from 'commander';
import { clockOf, loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { parseGuid, type Guid } from '../protocol/guid.js';
import type { ClientRow, MachineEventRow, SiteStore } from '../store/site-store.js';
import { operatorDeed } from './audited-change.js';
import { registerPending } from './clients-pending.js';
import { group } from './group.js';
import { operator } from './incident.js';
import { machineOf } from './machine-of.js';
import { numberOption } from './number-option.js';
import { print, printJson, table, time } from './output.js';
import { requireSite, withStore } from './with-store.js';

/** `mpe clients list|show|block|unblock|merge|pending|approve|reject`. */
export function register(program: Command): void {
  const clients = group(program, 'clients', 'Registered clients');
  clients
    .command('list')
    .description('list clients, the newest first')
    .option('--flagged', 'only clones, and hardware ids that more than one client names', false)
    .option('--limit <n>', 'at most so many', numberOption('--limit', 1, 10_000), 100)
    .option('--json', 'print them as JSON', false)
    .action(list);
  clients
    .command('show')
    .description('show a client: its state, keys, flags and what operators did')
    .argument('<id>', 'client id')
    .option('--json', 'print it as JSON', false)
    .action(show);
  clients
    .command('block')
    .description('refuse what a client sends; what it escrowed stays readable')
    .argument('<id>', 'client id')
    .action((id: string) => setState(id, 'BLOCKED'));
  clients
    .command('unblock')
    .description('take messages of a blocked client again')
    .argument('<id>', 'client id')
    .action((id: string) => setState(id, 'ACTIVE'));
  clients
    .command('merge')
    .description('note that one client is now another; keys and reports stay where they are')
    .argument('<old>', 'client id that is no more')
    .argument('<new>', 'client id that the machine has now')
    .action(merge);
  registerPending(clients);
}

/** @throws MpeError USAGE where it is not registered */
export async function requireClient(store: SiteStore, clientId: Guid): Promise<ClientRow> {
  const client = await store.findClient(clientId);
  if (client !== null) return client;
  throw new MpeError('USAGE', `there is no client ${clientId}`);
}

async function list(options: {
  readonly flagged: boolean;
  readonly limit: number;
  readonly json: boolean;
}): Promise<void> {
  await withStore(
    loadConfig(),
    async (store) => {
      const rows = await store.listClients({ flagged: options.flagged, limit: options.limit });
      if (options.json) {
        printJson(rows);
        return;
      }
      print(
        ...table(
          ['client', 'state', 'epoch', 'machine', 'hardware id', 'tag', 'registered', 'flags'],
          rows.map((row) => [
            row.clientId,
            row.state,
            String(row.epoch),
            machineOf(row),
            row.hardwareId === '' ? '-' : row.hardwareId,
            row.tag,
            time(row.registeredAtMs),
            [...(row.clone ? ['CLONE'] : []), ...(row.sameHardware ? ['SAME HARDWARE'] : [])].join(', '),
          ]),
        ),
        ...(rows.length < options.limit ? [] : [`the first ${rows.length}; --limit shows more`]),
      );
    },
    { readOnly: true },
  );
}

async function show(id: string, options: { readonly json: boolean }): Promise<void> {
  const clientId = parseGuid(id);
  await withStore(
    loadConfig(),
    async (store) => {
      const client = await requireClient(store, clientId);
      const alike = await store.findLookAlikes(clientId, client);
      const events = await store.readMachineEvents(clientId);
      if (options.json) {
        const keys = client.keys.map(({ publicJwk: _publicJwk, ...key }) => key);
        printJson({ ...client, keys, events, ...alike });
        return;
      }
      print(
        `Client ${client.clientId}  ${client.state}  epoch ${client.epoch}`,
        `  machine       ${machineOf(client)} (a hint, no identity)`,
        `  join type     ${client.joinType}`,
        `  hardware id   ${client.hardwareId === '' ? '-' : client.hardwareId}`,
        `  registered    ${time(client.registeredAtMs)}`,
        '',
        ...table(
          ['epoch', 'signing key (kid)', 'registered', 'by'],
          client.keys.map((key) => [
            String(key.epoch),
            key.kid,
            time(key.registeredAtMs),
            [
              ...(key.channel === undefined ? [] : [`${key.channel.kind} ${key.channel.subject}`]),
              ...(key.approvedBy === undefined ? [] : [`operator ${key.approvedBy}`]),
            ].join(', '),
          ]),
        ),
        ...client.flags.map(({ flag, atMs, detail }) => `${flag} since ${time(atMs)}: ${detail}`),
        ...alike.sameHardware.map((other) => `same hardware id as client ${other}`),
        ...alike.sameName.map((other) => `same machine name as client ${other}`),
        ...events.map((event) => eventLine(event, clientId)),
      );
    },
    { readOnly: true },
  );
}

function eventLine({ event, atMs, by, clientId, intoClientId }: MachineEventRow, shown: Guid): string {
  const what =
    event !== 'MERGED'
      ? event
      : clientId === shown
        ? `MERGED into ${intoClientId ?? '-'}`
        : `client ${clientId} was MERGED into this one`;
  return `${time(atMs)}  ${what}  by ${by}`;
}

async function setState(id: string, state: 'ACTIVE' | 'BLOCKED'): Promise<void> {
  const clientId = parseGuid(id);
  const config = loadConfig();
  await withStore(config, async (store) => {
    const site = await requireSite(store);
    await requireClient(store, clientId);
    const record = operatorDeed(config, store, clockOf(config, site.testSite).now());
    await record(state === 'BLOCKED' ? 'Client blocked' : 'Client unblocked', `client ${clientId}`);
    await store.setClientState(clientId, state, operator().person.name);
    print(
      state === 'BLOCKED'
        ? `Client ${clientId} is blocked: its messages are refused, its keys stay readable.`
        : `Client ${clientId} is active again.`,
    );
  });
}

async function merge(old: string, into: string): Promise<void> {
  const clientId = parseGuid(old);
  const intoClientId = parseGuid(into);
  const config = loadConfig();
  await withStore(config, async (store) => {
    const site = await requireSite(store);
    for (const one of [clientId, intoClientId]) await requireClient(store, one);
    const record = operatorDeed(config, store, clockOf(config, site.testSite).now());
    await record('Client merged', `client ${clientId} into ${intoClientId}`);
    await store.mergeClient(clientId, intoClientId, operator().person.name);
    print(
      `Client ${clientId} is noted as merged into ${intoClientId}.`,
      'Keys and reports of both stay where they are; block the old one if it must send no more.',
    );
  });
}
