import type { Command } from 'commander';
import { clockOf, loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { parseGuid, type Guid } from '../protocol/guid.js';
import type { LookAlikes, PendingRegistrationRow, SiteStore } from '../store/site-store.js';
import { operatorDeed } from './audited-change.js';
import { operator } from './incident.js';
import { machineOf } from './machine-of.js';
import { numberOption } from './number-option.js';
import { print, printJson, time } from './output.js';
import { requireSite, withStore } from './with-store.js';

/** Every row that may wait is looked through for one client id. */
const ALL = 1_000_000;

/** `mpe clients pending|approve|reject`. */
export function registerPending(clients: Command): void {
  clients
    .command('pending')
    .description('list registrations that wait for an operator, the longest first')
    .option('--limit <n>', 'at most so many', numberOption('--limit', 1, 10_000), 100)
    .option('--json', 'print them as JSON', false)
    .action(pending);
  clients
    .command('approve')
    .description('register what waits; a known client gets a new epoch and keeps every key')
    .argument('<id>', 'client id')
    .option('--kid <kid>', 'the signing key that is meant; required where several wait')
    .option('--tag <tag>', 'tag that a new client gets, for policies', '')
    .action(approve);
  clients
    .command('reject')
    .description('drop what waits; the machine may ask again')
    .argument('<id>', 'client id')
    .option('--kid <kid>', 'the signing key that is meant; required where several wait')
    .action(reject);
}

async function pending(options: { readonly limit: number; readonly json: boolean }): Promise<void> {
  await withStore(
    loadConfig(),
    async (store) => {
      const rows = await store.readPendingRegistrations(options.limit);
      const seen = [];
      for (const row of rows) seen.push({ row, ...(await whatIsOdd(store, row)) });
      if (options.json) {
        printJson(seen.map(({ row, known, alike }) => ({ ...row, knownClient: known, ...alike })));
        return;
      }
      print(...(seen.length === 0 ? ['nothing waits'] : seen.flatMap(linesOf)));
      if (rows.length === options.limit) print(`the first ${rows.length}; --limit shows more`);
    },
    { readOnly: true },
  );
}

interface Seen {
  readonly row: PendingRegistrationRow;
  /** Epoch of a client that is registered under this id; 0 for none. */
  readonly known: number;
  readonly alike: LookAlikes;
}

async function whatIsOdd(store: SiteStore, row: PendingRegistrationRow): Promise<Omit<Seen, 'row'>> {
  const client = await store.findClient(row.clientId);
  return { known: client?.epoch ?? 0, alike: await store.findLookAlikes(row.clientId, row) };
}

function linesOf({ row, known, alike }: Seen): string[] {
  const { channel } = row;
  return [
    `Client ${row.clientId}  waits since ${time(row.firstAskedAtMs)}, last asked ${time(row.lastAskedAtMs)}`,
    `  signing key   ${row.kid}`,
    `  machine       ${machineOf(row)}  ${row.joinType} (hints, no identity)`,
    `  hardware id   ${row.hardwareId === '' ? '-' : row.hardwareId}`,
    `  channel       ${channel === null ? 'none' : `${channel.kind} ${channel.subject}, by a gateway's word`}`,
    ...(known === 0 ? [] : [`  NEW KEY of a client that is registered, epoch ${known}`]),
    ...alike.sameHardware.map((other) => `  same hardware id as client ${other}`),
    ...alike.sameName.map((other) => `  same machine name as client ${other}`),
    '',
  ];
}

async function waiting(store: SiteStore, clientId: Guid, kid?: string): Promise<PendingRegistrationRow> {
  const rows = (await store.readPendingRegistrations(ALL)).filter((row) => row.clientId === clientId);
  const meant = kid === undefined ? rows : rows.filter((row) => row.kid === kid);
  const [first] = meant;
  if (first === undefined)
    throw new MpeError('USAGE', `nothing waits for client ${clientId}; see "mpe clients pending"`);
  if (meant.length > 1)
    throw new MpeError(
      'USAGE',
      `${meant.length} keys wait for client ${clientId}; name one: --kid ${meant.map((row) => row.kid).join(' | ')}`,
    );
  return first;
}

async function approve(id: string, options: { readonly kid?: string; readonly tag: string }): Promise<void> {
  if (!/^[A-Za-z0-9._-]{0,64}$/.test(options.tag))
    throw new MpeError('USAGE', '--tag must have at most 64 of A-Z a-z 0-9 . _ -');
  const clientId = parseGuid(id);
  const config = loadConfig();
  await withStore(config, async (store) => {
    const site = await requireSite(store);
    const row = await waiting(store, clientId, options.kid);
    const odd = await whatIsOdd(store, row);
    const atMs = clockOf(config, site.testSite).now();
    const record = operatorDeed(config, store, atMs);
    const said = `client ${clientId}, key ${row.kid}${options.tag === '' ? '' : `, tag ${options.tag}`}`;
    await record('Client approved', said);
    const result = await store.approveRegistration(clientId, row.kid, {
      ...{ by: operator().person.name, tag: options.tag, atMs },
    });
    if (result?.status !== 'REGISTERED' && result?.status !== 'ALREADY_REGISTERED') {
      const why = result?.reason ?? 'nothing waits';
      await record('Client approved', `CONFLICT: ${said}: ${why}`, 'Failed');
      throw new MpeError('USAGE', `client ${clientId} cannot be approved: ${why}`);
    }
    print(...linesOf({ row, ...odd }), `Client ${clientId} is registered, epoch ${result.epoch}.`);
  });
}

async function reject(id: string, options: { readonly kid?: string }): Promise<void> {
  const clientId = parseGuid(id);
  const config = loadConfig();
  await withStore(config, async (store) => {
    const site = await requireSite(store);
    const { kid } = await waiting(store, clientId, options.kid);
    const record = operatorDeed(config, store, clockOf(config, site.testSite).now());
    await record('Client rejected', `client ${clientId}, key ${kid}`);
    await store.rejectRegistration(clientId, kid);
    print(`The registration of client ${clientId} with key ${kid} is dropped; the machine may ask again.`);
  });
}
