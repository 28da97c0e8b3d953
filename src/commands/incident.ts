import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { clockOf, loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { createLogger } from '../ops/log.js';
import { parseGuid, type Guid } from '../protocol/guid.js';
import {
  confirmIncident,
  endIncident,
  incidentState,
  need,
  proposeIncident,
  type Actor,
  type IncidentContext,
} from '../recovery/incident/incident.js';
import type { IncidentRow } from '../store/disclosure-store.js';
import { group } from './group.js';
import { numberOption } from './number-option.js';
import { personName } from './operator-name.js';
import { print, printJson, table, time } from './output.js';
import { requireSite, withStore } from './with-store.js';

/** Rotations of half a thousand machines an hour are what one worker process takes without noticing. */
const PACE = 500;
const HOURS = 8;

/**
 * The person at the command line: the account of the system. Who may run commands on this host decides
 * what it may do; two people are two accounts.
 */
export function operator(): Actor {
  const name = personName(process.env['SUDO_USER'], process.getuid?.());
  return {
    person: { name, roles: ['operator', 'helpdesk-administrator'], signIn: 'local' },
    source: 'Command line',
  };
}

/** `mpe incident …`: when many machines ask for their recovery key at once. */
export function register(program: Command): void {
  const incident = group(
    program,
    'incident',
    'Incidents: two people lift the disclosure limits for a list of machines',
  );
  incident
    .command('open')
    .description('propose an incident; it lifts nothing until somebody else confirms it')
    .requiredOption('--title <text>', 'what happened')
    .option('--machine <name...>', 'machines by name (DOMAIN\\NAME where needed) or client id')
    .option('--machines <file>', 'file with one of them a line')
    .option(
      '--hours <n>',
      'how long it lasts from its confirmation on',
      numberOption('--hours', 1, 168),
      HOURS,
    )
    .option(
      '--pace <n>',
      'machines whose keys are rotated in an hour afterwards',
      numberOption('--pace', 1, 100_000),
      PACE,
    )
    .option('--json', 'print it as JSON', false)
    .action(open);
  incident
    .command('confirm <id>')
    .description('confirm what somebody else proposed: limits are lifted, rotations asked for')
    .option('--json', 'print it as JSON', false)
    .action(confirm);
  incident
    .command('show [id]')
    .description('show one incident, or the newest ones')
    .option('--json', 'print as JSON', false)
    .action(show);
  incident
    .command('end <id>')
    .description('end an incident before its time')
    .option('--json', 'print it as JSON', false)
    .action(end);
}

interface Json {
  readonly json: boolean;
}

interface OpenOptions extends Json {
  readonly title: string;
  readonly machine?: string[];
  readonly machines?: string;
  readonly hours: number;
  readonly pace: number;
}

async function withIncidents<T>(work: (context: IncidentContext) => Promise<T>): Promise<T> {
  const config = loadConfig();
  return withStore(config, async (store) => {
    const site = await requireSite(store);
    return work({
      ...{ store, clock: clockOf(config, site.testSite), log: createLogger('incident', config, { fd: 2 }) },
      rotationDeadlineMs: config.recovery.rotationDeadlineMs,
    });
  });
}

async function open(options: OpenOptions): Promise<void> {
  await withIncidents(async (context) => {
    const names = [
      ...(options.machine ?? []),
      ...(options.machines === undefined ? [] : linesOf(options.machines)),
    ];
    const incident = await proposeIncident(context, operator(), {
      ...{ title: options.title, lastsMinutes: options.hours * 60, rotationsPerHour: options.pace },
      machines: await machinesOf(context, names),
    });
    if (options.json) {
      printJson(plain(incident, context));
      return;
    }
    print(
      `Incident ${incident.incidentId} is proposed for ${incident.machines.length} machines. Nothing is lifted yet:`,
      `somebody else runs  mpe incident confirm ${incident.incidentId}`,
    );
  });
}

async function confirm(id: string, { json }: Json): Promise<void> {
  await withIncidents(async (context) => {
    const { incident, rotations } = await confirmIncident(context, operator(), parseGuid(id));
    if (json) {
      printJson({ ...plain(incident, context), rotations });
      return;
    }
    print(
      `Incident ${incident.incidentId} is open until ${time(incident.endsAtMs ?? 0)}; then it ends by itself.`,
      `Limits are lifted for ${incident.machines.length} machines; their ${rotations} keys count as shown and are rotated`,
      `after the end, ${incident.rotationsPerHour} machines an hour.`,
      `A list of the keys, each with its audit row:  mpe incident print ${incident.incidentId} --out FILE`,
    );
  });
}

async function end(id: string, { json }: Json): Promise<void> {
  await withIncidents(async (context) => {
    const incident = await endIncident(context, operator(), parseGuid(id));
    if (json) printJson(plain(incident, context));
    else print(`Incident ${incident.incidentId} is over. Its rotations begin when they were planned to.`);
  });
}

async function show(id: string | undefined, { json }: Json): Promise<void> {
  await withIncidents(async (context) => {
    const incidents =
      id === undefined
        ? await context.store.disclosure.readIncidents(50)
        : [await need(context, parseGuid(id))];
    if (json) {
      printJson(incidents.map((incident) => plain(incident, context)));
      return;
    }
    if (incidents.length === 0) print('There was no incident.');
    else
      print(
        ...table(
          ['incident', 'state', 'machines', 'proposed', 'by', 'confirmed by', 'ends', 'title'],
          incidents.map((one) => [
            ...[one.incidentId, incidentState(one, context.clock.now()), String(one.machines.length)],
            ...[time(one.proposedAtMs), one.proposedBy, one.confirmedBy ?? '-'],
            ...[one.endedAtMs ?? one.endsAtMs].map((at) => (at === null ? '-' : time(at))),
            one.title,
          ]),
        ),
      );
  });
}

/** An incident as JSON: times as people and machines read them. */
function plain(incident: IncidentRow, context: IncidentContext): Record<string, unknown> {
  const at = (ms: number | null): string | null => (ms === null ? null : time(ms));
  const { incidentId, title, lastsMinutes, rotationsPerHour, machines, proposedBy, confirmedBy, endedBy } =
    incident;
  return {
    ...{
      incidentId,
      title,
      state: incidentState(incident, context.clock.now()),
      lastsMinutes,
      rotationsPerHour,
    },
    ...{
      proposedBy,
      proposedAt: at(incident.proposedAtMs),
      confirmedBy,
      confirmedAt: at(incident.confirmedAtMs),
    },
    ...{ endsAt: at(incident.endsAtMs), endedBy, endedAt: at(incident.endedAtMs), machines },
  };
}

function linesOf(path: string): string[] {
  try {
    const lines = readFileSync(path, 'utf8').split(/\r?\n/);
    return lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
  } catch (cause) {
    throw new MpeError('USAGE', `${path} cannot be read`, { cause });
  }
}

/** Clients by name or id; every one that is not exactly one machine is named. */
async function machinesOf(context: IncidentContext, names: readonly string[]): Promise<readonly Guid[]> {
  const found: Guid[] = [];
  const problems: string[] = [];
  for (const name of names) {
    if (/^\{?[0-9a-f]{8}-[0-9a-f-]{27}\}?$/i.test(name)) {
      found.push(parseGuid(name));
      continue;
    }
    const clients = await context.store.disclosure.findMachines(name);
    if (clients.length === 1 && clients[0] !== undefined) found.push(clients[0]);
    else
      problems.push(
        `${name}: ${clients.length === 0 ? 'no machine' : `${clients.length} machines`} of this name`,
      );
  }
  if (problems.length === 0) return found;
  const shown = problems
    .slice(0, 20)
    .concat(problems.length > 20 ? [`… and ${problems.length - 20} more`] : []);
  throw new MpeError('USAGE', `nothing was proposed:\n${shown.map((one) => `  ${one}`).join('\n')}`);
}
