import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { parseGuid, type Guid } from '../protocol/guid.js';
import type { ClientRow, SiteStore } from '../store/site-store.js';
import { group } from './group.js';
import { print, printJson, table, time } from './output.js';
import { withStore } from './with-store.js';

/** `mpe clients show|block|unblock`. */
export function register(program: Command): void {
  const clients = group(program, 'clients', 'Registered clients');
  clients
    .command('show')
    .description('show a client: its state, keys and flags')
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
}

async function requireClient(store: SiteStore, clientId: Guid): Promise<ClientRow> {
  const client = await store.findClient(clientId);
  if (client !== null) return client;
  throw new MpeError('USAGE', `there is no client ${clientId}`);
}

async function show(id: string, options: { readonly json: boolean }): Promise<void> {
  const clientId = parseGuid(id);
  await withStore(
    loadConfig(),
    async (store) => {
      const client = await requireClient(store, clientId);
      if (options.json) {
        printJson({ ...client, keys: client.keys.map(({ publicJwk: _publicJwk, ...key }) => key) });
        return;
      }
      print(
        `Client ${client.clientId}  ${client.state}  epoch ${client.epoch}`,
        `  machine       ${client.domain === '' ? '' : `${client.domain}\\`}${client.machineName} (a hint, no identity)`,
        `  join type     ${client.joinType}`,
        `  hardware id   ${client.hardwareId === '' ? '-' : client.hardwareId}`,
        `  registered    ${time(client.registeredAtMs)}`,
        '',
        ...table(
          ['epoch', 'signing key (kid)', 'registered'],
          client.keys.map((key) => [String(key.epoch), key.kid, time(key.registeredAtMs)]),
        ),
        ...client.flags.map(({ flag, atMs, detail }) => `${flag} since ${time(atMs)}: ${detail}`),
      );
    },
    { readOnly: true },
  );
}

async function setState(id: string, state: 'ACTIVE' | 'BLOCKED'): Promise<void> {
  const clientId = parseGuid(id);
  await withStore(loadConfig(), async (store) => {
    await requireClient(store, clientId);
    await store.setClientState(clientId, state, userInfo().username);
    print(
      state === 'BLOCKED'
        ? `Client ${clientId} is blocked: its messages are refused, its keys stay readable.`
        : `Client ${clientId} is active again.`,
    );
  });
}
