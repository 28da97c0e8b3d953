import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { clockOf, loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import type { PolicyActor } from '../recovery/policy/policies.js';
import type { PolicySettingsInput } from '../recovery/policy/settings.js';
import type { PolicyRow, SiteStore } from '../store/site-store.js';
import { group } from './group.js';
import { numberOption } from './number-option.js';
import { operatorName } from './operator-name.js';
import { print, printJson, table, time, warn } from './output.js';
import { policyLines, targetOf } from './policy-text.js';
import { ringOption } from './ring-option.js';
import { requireSite, withStore } from './with-store.js';

/** Options as commander gives them. */
interface Flags {
  readonly name?: string;
  readonly mode?: 'OBSERVE' | 'ESCROW' | 'MANAGE';
  readonly tag?: string;
  readonly allClients?: true;
  readonly recoveryInformation?: string;
  readonly removableDrives?: boolean;
  readonly tpm?: boolean;
  readonly checkInterval?: number;
  readonly mbamMigration?: boolean;
  readonly rotateBesideOthers?: boolean;
  readonly ring?: readonly ReturnType<typeof ringOption>[];
  readonly rings?: false;
  readonly file?: string;
  readonly json: boolean;
}

/** `mpe policy create|set|show|list|deploy|retire`. */
export function register(program: Command): void {
  const policy = group(
    program,
    'policy',
    'BitLocker management policies: what the site takes, and from whom',
  );
  settings(policy.command('create').description('make a policy; it applies to nobody until it is deployed'))
    .argument('<name>', 'its name')
    .action(create);
  settings(
    policy.command('set').description('change settings; each client learns of it at its next check-in'),
  )
    .argument('<policy>', 'name or id')
    .option('--name <text>', 'another name')
    .action(set);
  policy
    .command('show')
    .description('show a policy, its rings and its history')
    .argument('<policy>', 'name or id')
    .option('--json', 'print it as JSON', false)
    .action(show);
  policy
    .command('list')
    .description('list policies')
    .option('--json', 'print them as JSON', false)
    .action(list);
  policy
    .command('deploy')
    .description('let a policy apply: it turns the recovery service on for its clients')
    .argument('<policy>', 'name or id')
    .option('--json', 'print it as JSON', false)
    .action((name: string, flags: Flags) => change(name, flags, 'deployPolicy'));
  policy
    .command('retire')
    .description('end a policy, for good')
    .argument('<policy>', 'name or id')
    .option('--json', 'print it as JSON', false)
    .action((name: string, flags: Flags) => change(name, flags, 'retirePolicy'));
}

function settings(command: Command): Command {
  return command
    .option('--mode <mode>', 'observe, escrow or manage', modeOption)
    .option('--tag <tag>', 'only for clients with this tag')
    .option('--all-clients', 'for every client')
    .option('--recovery-information <what>', 'PasswordAndPackage or PasswordOnly')
    .option('--removable-drives', 'take keys of removable drives')
    .option('--no-removable-drives', 'refuse them')
    .option('--tpm', 'take TPM owner authorizations')
    .option('--no-tpm', 'refuse them')
    .option(
      '--check-interval <minutes>',
      'minutes between check-ins, 1 to 2880',
      numberOption('--check-interval', 1, 2880),
    )
    .option('--mbam-migration', 'replace keys that MBAM had before, paced by the rings (needs manage)')
    .option('--no-mbam-migration', 'leave them')
    .option('--rotate-beside-others', 'rotate although MBAM, group policy or Intune manages a machine too')
    .option('--no-rotate-beside-others', 'never rotate there')
    .option(
      '--ring <tag[,opens=after-previous][,limit=2%][,soak=24h][,per-hour=100]>',
      'a ring of targets; several in their order; rings that are not named go',
      (text: string, before: readonly ReturnType<typeof ringOption>[] | undefined) => [
        ...(before ?? []),
        ringOption(text),
      ],
    )
    .option('--no-rings', 'without rings')
    .option('--file <path>', 'settings as JSON, e.g. of "mpe policy show --json"; options come after them')
    .option('--json', 'print it as JSON', false);
}

function modeOption(text: string): NonNullable<Flags['mode']> {
  const mode = (['OBSERVE', 'ESCROW', 'MANAGE'] as const).find((word) => word === text.toUpperCase());
  if (mode !== undefined) return mode;
  throw new MpeError('USAGE', '--mode must be observe, escrow or manage');
}

function storePackages(text: string): boolean {
  if (/^PasswordAndPackage$/i.test(text)) return true;
  if (/^PasswordOnly$/i.test(text)) return false;
  throw new MpeError('USAGE', '--recovery-information must be PasswordAndPackage or PasswordOnly');
}

/** What the options say; what they leave out stays. */
function inputOf(flags: Flags): PolicySettingsInput {
  if (flags.tag !== undefined && flags.allClients === true)
    throw new MpeError('USAGE', 'give --tag or --all-clients, not both');
  return {
    ...(flags.file === undefined ? {} : fromFile(flags.file)),
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.mode === undefined ? {} : { mode: flags.mode }),
    ...(flags.tag === undefined ? {} : { targetTag: flags.tag }),
    ...(flags.allClients === true ? { targetTag: null } : {}),
    ...(flags.recoveryInformation === undefined
      ? {}
      : { storePackages: storePackages(flags.recoveryInformation) }),
    ...(flags.removableDrives === undefined ? {} : { removableDrives: flags.removableDrives }),
    ...(flags.tpm === undefined ? {} : { tpmOwnerAuth: flags.tpm }),
    ...(flags.checkInterval === undefined ? {} : { checkIntervalMinutes: flags.checkInterval }),
    ...(flags.mbamMigration === undefined ? {} : { mbamMigration: flags.mbamMigration }),
    ...(flags.rotateBesideOthers === undefined ? {} : { rotateBesideOthers: flags.rotateBesideOthers }),
    ...(flags.rings === false ? { rings: [] } : {}),
    ...(flags.ring === undefined ? {} : { rings: [...flags.ring] }),
  };
}

function fromFile(path: string): PolicySettingsInput {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new MpeError('USAGE', `${path} cannot be read as JSON`, { cause });
  }
  const value = typeof json === 'object' && json !== null && 'settings' in json ? json.settings : json;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new MpeError('USAGE', `${path} holds no settings: it must be an object`);
}

async function create(name: string, flags: Flags): Promise<void> {
  await changing(flags, async (store, actor) => {
    const { createPolicy } = await import('../recovery/policy/policies.js');
    return createPolicy(store, { ...inputOf(flags), name }, actor);
  });
}

async function set(name: string, flags: Flags): Promise<void> {
  await changing(flags, async (store, actor) => {
    const { changePolicy, findPolicy } = await import('../recovery/policy/policies.js');
    const input = inputOf(flags);
    if (Object.keys(input).length === 0) throw new MpeError('USAGE', 'say what to change; see --help');
    return changePolicy(store, (await findPolicy(store, name)).policyId, input, actor);
  });
}

async function change(name: string, flags: Flags, how: 'deployPolicy' | 'retirePolicy'): Promise<void> {
  await changing(flags, async (store, actor) => {
    const policies = await import('../recovery/policy/policies.js');
    return policies[how](store, (await policies.findPolicy(store, name)).policyId, actor);
  });
}

/** Runs a change and prints what it made, with warnings on standard error. */
async function changing(
  flags: Flags,
  work: (store: SiteStore, actor: PolicyActor) => Promise<PolicyRow>,
): Promise<void> {
  const config = loadConfig();
  const { policyWarnings, settingsOf } = await import('../recovery/policy/settings.js');
  await withStore(config, async (store) => {
    const site = await requireSite(store);
    const actor = { by: operatorName(), atMs: clockOf(config, site.testSite).now() };
    const policy = await work(store, actor);
    for (const warning of policyWarnings(settingsOf(policy))) warn(`WARNING: ${warning}`);
    if (flags.json) printJson(jsonOf(policy, settingsOf(policy)));
    else {
      print(...policyLines(policy));
      if (policy.state === 'DRAFT') print('', `Next: mpe policy deploy "${policy.name}"`);
    }
  });
}

const jsonOf = (policy: PolicyRow, chosen: object): object => ({
  policyId: policy.policyId,
  state: policy.state,
  revision: policy.revision,
  settings: chosen,
  rings: policy.rings,
  createdAt: time(policy.createdAtMs),
  deployedAt: policy.deployedAtMs === null ? null : time(policy.deployedAtMs),
  retiredAt: policy.retiredAtMs === null ? null : time(policy.retiredAtMs),
});

async function show(name: string, flags: { readonly json: boolean }): Promise<void> {
  const { findPolicy } = await import('../recovery/policy/policies.js');
  const { settingsOf } = await import('../recovery/policy/settings.js');
  await withStore(
    loadConfig(),
    async (store) => {
      await requireSite(store);
      const policy = await findPolicy(store, name);
      const events = await store.policy.events(policy.policyId, 50);
      if (flags.json) {
        printJson({
          ...jsonOf(policy, settingsOf(policy)),
          history: events.map(({ revision, event, detail, by, atMs }) => ({
            ...{ revision, event, detail, by },
            at: time(atMs),
          })),
        });
        return;
      }
      print(...policyLines(policy));
      if (events.length === 0) return;
      const rows = events.map(({ atMs, event, by, detail }) => [time(atMs), event, by, detail]);
      print('', ...table(['time', 'event', 'by', 'detail'], rows));
    },
    { readOnly: true },
  );
}

async function list(flags: { readonly json: boolean }): Promise<void> {
  const { settingsOf } = await import('../recovery/policy/settings.js');
  await withStore(
    loadConfig(),
    async (store) => {
      await requireSite(store);
      const policies = await store.readPolicies();
      if (flags.json) printJson(policies.map((policy) => jsonOf(policy, settingsOf(policy))));
      else
        print(
          ...table(
            ['name', 'state', 'mode', 'for', 'check interval', 'id'],
            policies.map((policy) => [
              policy.name,
              policy.state.toLowerCase(),
              policy.mode.toLowerCase(),
              targetOf(policy),
              `${policy.checkIntervalMinutes} minutes`,
              policy.policyId,
            ]),
          ),
        );
    },
    { readOnly: true },
  );
}
