import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import type { PolicyActor } from '../recovery/policy/policies.js';
import type { PolicyRow, SiteStore } from '../store/site-store.js';
import { group } from './group.js';
import { print, printJson, table, time, warn } from './output.js';
import { inputOf, settingOptions, type PolicyFlags } from './policy-options.js';
import { policyLines, targetOf } from './policy-text.js';
import { requireSite, withStore } from './with-store.js';

/** `mpe policy create|set|show|list|deploy|retire`. */
export function register(program: Command): void {
  const policy = group(
    program,
    'policy',
    'BitLocker management policies: what the site takes, and from whom',
  );
  settingOptions(
    policy.command('create').description('make a policy; it applies to nobody until it is deployed'),
  )
    .argument('<name>', 'its name, at most 256 characters')
    .addHelpText(
      'after',
      '\nWhere nothing else is said: escrow, all clients, PasswordAndPackage, removable drives and TPM owner' +
        '\nauthorizations taken, a check-in every 90 minutes, no MBAM migration, never rotated beside others.',
    )
    .action(create);
  settingOptions(
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
    .action((name: string, flags: PolicyFlags) => change(name, flags, 'deployPolicy'));
  policy
    .command('retire')
    .description('end a policy, for good')
    .argument('<policy>', 'name or id')
    .option('--json', 'print it as JSON', false)
    .action((name: string, flags: PolicyFlags) => change(name, flags, 'retirePolicy'));
}

async function create(name: string, flags: PolicyFlags): Promise<void> {
  await changing(flags, async (store, actor) => {
    const { createPolicy } = await import('../recovery/policy/policies.js');
    return createPolicy(store, { ...inputOf(flags), name }, actor);
  });
}

async function set(name: string, flags: PolicyFlags): Promise<void> {
  await changing(flags, async (store, actor) => {
    const { changePolicy, findPolicy } = await import('../recovery/policy/policies.js');
    const input = inputOf(flags);
    if (Object.keys(input).length === 0) throw new MpeError('USAGE', 'say what to change; see --help');
    return changePolicy(store, (await findPolicy(store, name)).policyId, input, actor);
  });
}

async function change(name: string, flags: PolicyFlags, how: 'deployPolicy' | 'retirePolicy'): Promise<void> {
  await changing(flags, async (store, actor) => {
    const policies = await import('../recovery/policy/policies.js');
    return policies[how](store, (await policies.findPolicy(store, name)).policyId, actor);
  });
}

/** Runs a change and prints what it made, with warnings on standard error. */
async function changing(
  flags: PolicyFlags,
  work: (store: SiteStore, actor: PolicyActor) => Promise<PolicyRow>,
): Promise<void> {
  const config = loadConfig();
  const { policyWarnings, settingsOf } = await import('../recovery/policy/settings.js');
  const { policyActor } = await import('./policy-actor.js');
  await withStore(config, async (store) => {
    const policy = await work(store, policyActor(config, store, await requireSite(store)));
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
