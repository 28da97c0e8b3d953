import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { clockOf, loadConfig, type Config } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { parseGuid } from '../protocol/guid.js';
import { abandonRotation } from '../recovery/rotation/abandon.js';
import { listRotations } from '../recovery/rotation/list.js';
import { requestRotations, type RotationTarget } from '../recovery/rotation/request.js';
import { targetsInWords } from '../recovery/rotation/targets-in-words.js';
import { operatorDeed } from './audited-change.js';
import { ROTATION_STATES, type RotationState } from '../recovery/rotation/state.js';
import { rotationView, type RotationView } from '../recovery/rotation/view.js';
import type { SiteStore } from '../store/site-store.js';
import { group } from './group.js';
import { operator } from './incident.js';
import { machineOf } from './machine-of.js';
import { numberOption } from './number-option.js';
import { print, printJson, table, time } from './output.js';
import { requireSite, withStore } from './with-store.js';

const HOUR_MS = 3_600_000;

/** `mpe rotations list|show|request|abandon`. */
export function register(program: Command): void {
  const rotations = group(program, 'rotations', 'Rotation of exposed keys; none of these commands shows one');
  rotations
    .command('list')
    .description('list open rotations by deadline, or closed ones, the newest first')
    .option('--overdue', 'only those past their deadline', false)
    .option('--closed', 'only closed ones', false)
    .option('--state <words>', `only these states, with commas: ${ROTATION_STATES.join(', ')}`)
    .option('--machine <client>', 'of keys that this client proved')
    .option('--volume <guid>', 'of this volume')
    .option('--limit <n>', 'at most so many', numberOption('--limit', 1, 100_000), 100)
    .option('--json', 'print them as JSON', false)
    .action(list);
  rotations
    .command('show')
    .description('show a rotation: its state and the evidence for it')
    .argument('<id>', 'request id')
    .option('--json', 'print it as JSON', false)
    .action(show);
  rotations
    .command('request')
    .description(
      'count the present keys of a volume, a machine or a list of machines as used, and have them rotated',
    )
    .option('--volume <guid>', 'a volume')
    .option('--machine <client>', 'a client id')
    .option('--list <file>', 'client ids, one a line; empty lines and lines with # are left out')
    .option(
      '--per-hour <n>',
      'machines whose turn comes in an hour',
      numberOption('--per-hour', 1, 1_000_000),
      500,
    )
    .option(
      '--deadline-hours <n>',
      'overdue so long after its turn',
      numberOption('--deadline-hours', 1, 8760),
    )
    .option('--json', 'print the requests as JSON', false)
    .action(request);
  rotations
    .command('abandon')
    .description('give a rotation up; the key stays exposed')
    .argument('<id>', 'request id')
    .requiredOption('--reason <text>', 'why; it is kept with the request')
    .action(abandon);
}

interface ListOptions {
  readonly overdue: boolean;
  readonly closed: boolean;
  readonly state?: string;
  readonly machine?: string;
  readonly volume?: string;
  readonly limit: number;
  readonly json: boolean;
}

async function nowOf(config: Config, store: SiteStore): Promise<number> {
  return clockOf(config, (await requireSite(store)).testSite).now();
}

async function list(options: ListOptions): Promise<void> {
  if (options.overdue && options.closed)
    throw new MpeError('USAGE', 'a closed rotation is not overdue: give --overdue or --closed');
  const config = loadConfig();
  await withStore(
    config,
    async (store) => {
      const query = {
        open: !options.closed,
        overdue: options.overdue,
        ...(options.state === undefined ? {} : { states: statesOf(options.state) }),
        ...(options.machine === undefined ? {} : { clientId: parseGuid(options.machine) }),
        ...(options.volume === undefined ? {} : { volumeId: parseGuid(options.volume) }),
      };
      const found = await listRotations(store.rotation, query, options.limit, await nowOf(config, store));
      if (options.json) printJson(found);
      else if (found.length === 0) print('No such rotation.');
      else print(...listed(found), ...(found.length < options.limit ? [] : ['--limit shows more']));
    },
    { readOnly: true },
  );
}

function statesOf(text: string): RotationState[] {
  return text.split(',').map((word) => {
    const state = ROTATION_STATES.find((known) => known === word.trim().toUpperCase());
    if (state !== undefined) return state;
    throw new MpeError('USAGE', `--state is of ${ROTATION_STATES.join(', ')}`);
  });
}

const listed = (views: readonly RotationView[]): readonly string[] =>
  table(
    ['request', 'state', 'machine', 'key ID', 'volume', 'origin', 'deadline', 'closed'],
    views.map((view) => [
      view.requestId,
      `${view.state}${view.overdue ? ' OVERDUE' : ''}${view.protectionOff ? ' PROTECTION OFF' : ''}`,
      machineOf(view),
      view.keyId,
      view.volumeId,
      view.origin,
      time(view.deadlineMs),
      view.closedAtMs === null ? '' : time(view.closedAtMs),
    ]),
  );

async function show(id: string, options: { readonly json: boolean }): Promise<void> {
  const requestId = parseGuid(id);
  const config = loadConfig();
  await withStore(
    config,
    async (store) => {
      const facts = await store.rotation.find(requestId);
      if (facts === null) throw new MpeError('USAGE', `there is no rotation request ${requestId}`);
      const view = rotationView(facts, await nowOf(config, store));
      const claims = facts.claims.map((claim) => ({
        ...claim,
        sequence: String(claim.sequence),
        errorCode: claim.errorCode === null ? null : String(claim.errorCode),
      }));
      if (options.json) {
        printJson({ ...view, round: facts.request.round, deliveries: facts.deliveries, claims });
        return;
      }
      print(
        `Rotation ${view.requestId}  ${view.state}${view.overdue ? '  OVERDUE' : ''}`,
        `  ${view.detail}`,
        ...(view.protectionOff ? ['  PROTECTION OFF: the machine reports the volume as not protected'] : []),
        `  machine     ${machineOf(view)}  client ${view.clientId ?? '-'}`,
        `  volume      ${view.volumeId}`,
        `  key ID      ${view.keyId}, exposed ${view.exposedAtMs === null ? '-' : time(view.exposedAtMs)}`,
        `  new key ID  ${view.newKeyId ?? '-'}`,
        `  asked for   ${time(view.openedAtMs)} by ${view.requestedBy === '' ? '-' : view.requestedBy} (${view.origin})`,
        `  its turn    ${time(view.notBeforeMs)}, deadline ${time(view.deadlineMs)}`,
        ...(view.closedAtMs === null ? [] : [`  closed      ${time(view.closedAtMs)} by ${view.closedBy}`]),
        '',
        ...facts.deliveries.map(({ clientId, atMs }) => `told client ${clientId} first at ${time(atMs)}`),
        ...claims.map(({ clientId, outcome, reportedAtMs, errorText }) => {
          const isHolder = facts.holders.some((holder) => holder.clientId === clientId);
          const said = `client ${clientId} claimed ${outcome} at ${time(reportedAtMs)}`;
          const text = errorText === null ? '' : `: ${errorText}`;
          return `${said}${text}${isHolder ? '' : ' (it never proved this key: no evidence)'}`;
        }),
      );
    },
    { readOnly: true },
  );
}

interface RequestOptions {
  readonly volume?: string;
  readonly machine?: string;
  readonly list?: string;
  readonly perHour: number;
  readonly deadlineHours?: number;
  readonly json: boolean;
}

async function request(options: RequestOptions): Promise<void> {
  const targets = targetsOf(options);
  const config = loadConfig();
  await withStore(config, async (store) => {
    const nowMs = await nowOf(config, store);
    const hours = options.deadlineHours;
    const perHour = targets.length > 1 ? options.perHour : null;
    await operatorDeed(config, store, nowMs)('Rotation requested', targetsInWords(targets, perHour));
    const opened = await requestRotations(store.rotation, targets, {
      ...{ origin: 'OPERATOR', requestedBy: operator().person.name, nowMs },
      deadlineMs: hours === undefined ? config.recovery.rotationDeadlineMs : hours * HOUR_MS,
      perHour,
    });
    if (options.json) {
      printJson(opened);
      return;
    }
    const fresh = opened.filter((one) => one.opened).length;
    print(
      `${fresh} rotations requested, ${opened.length - fresh} were open already.`,
      ...opened.map((one) => `  ${one.requestId ?? '-'}  key ID ${one.keyId}  volume ${one.volumeId}`),
    );
    if (opened.length === 0) {
      print('None of these has a key that its client proved.');
      process.exitCode = 1;
    }
  });
}

function targetsOf({ volume, machine, list: file }: RequestOptions): RotationTarget[] {
  if ([volume, machine, file].filter((one) => one !== undefined).length !== 1)
    throw new MpeError('USAGE', 'give one of --volume, --machine and --list');
  if (volume !== undefined) return [{ volumeId: parseGuid(volume) }];
  if (machine !== undefined) return [{ clientId: parseGuid(machine) }];
  return readList(file ?? '').map((line, n) => {
    try {
      return { clientId: parseGuid(line) };
    } catch (cause) {
      throw new MpeError('USAGE', `line ${n + 1} of the list is no client id`, { cause });
    }
  });
}

function readList(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new MpeError('USAGE', `${path} cannot be read`, { cause });
  }
  const lines = text.split('\n').map((line) => line.trim());
  const found = [...new Set(lines.filter((line) => line !== '' && !line.startsWith('#')))];
  if (found.length === 0) throw new MpeError('USAGE', `${path} lists no client id`);
  return found;
}

async function abandon(id: string, options: { readonly reason: string }): Promise<void> {
  const requestId = parseGuid(id);
  const config = loadConfig();
  await withStore(config, async (store) => {
    const nowMs = await nowOf(config, store);
    await abandonRotation(store.rotation, requestId, {
      ...{ by: operator().person.name, reason: options.reason, nowMs },
      record: operatorDeed(config, store, nowMs),
    });
    print(`Rotation ${requestId} is abandoned: clients are not told any more, and the key stays exposed.`);
  });
}
