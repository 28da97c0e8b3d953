import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import type { PolicyActor } from '../recovery/policy/policies.js';
import type * as RingRule from '../recovery/policy/rings.js';
import type { RingCounts } from '../store/policy-store.js';
import type { PolicyRing, PolicyRow, SiteStore } from '../store/site-store.js';
import { MpeError } from '../ops/errors.js';
import { group } from './group.js';
import { numberOption } from './number-option.js';
import { print, printJson, table, time } from './output.js';
import { opensText } from './policy-text.js';
import { requireSite, withStore } from './with-store.js';

interface Flags {
  readonly policy?: string;
  readonly reason?: string;
  readonly json: boolean;
}

/** `mpe rings list|show|open|pause|resume`. */
export function register(program: Command): void {
  const rings = group(
    program,
    'rings',
    'Rings: the parts of its targets that a policy reaches one after the other',
  );
  const ring = numberOption('<ring>', 1, 100);
  const command = (name: string, description: string): Command =>
    rings
      .command(name)
      .description(description)
      .option('--policy <policy>', 'name or id, where several policies have rings')
      .option('--json', 'print JSON', false);
  command('list', 'list the rings and how they fare').action(list);
  command('show', 'show one ring').argument('<ring>', 'its number', ring).action(show);
  command('open', 'open a ring: the policy reaches its machines')
    .argument('<ring>', 'its number', ring)
    .action((position: number, flags: Flags) =>
      change(flags, (rule, store, policy, actor) => rule.openRing(store, policy.policyId, position, actor)),
    );
  command('pause', 'begin nothing more in a ring or behind it')
    .argument('<ring>', 'its number', ring)
    .option('--reason <text>', 'why, for whoever looks at it')
    .action((position: number, flags: Flags) =>
      change(flags, (rule, store, policy, actor) =>
        rule.pauseRing(store, policy.policyId, position, flags.reason ?? 'by hand', actor),
      ),
    );
  command('resume', 'let a paused ring go on; its failures are counted from now')
    .argument('<ring>', 'its number', ring)
    .action((position: number, flags: Flags) =>
      change(flags, (rule, store, policy, actor) => rule.resumeRing(store, policy.policyId, position, actor)),
    );
}

/** The policy that is meant: the named one, or the only living one with rings. */
async function policyOf(store: SiteStore, flags: Flags): Promise<PolicyRow> {
  if (flags.policy !== undefined) {
    const { findPolicy } = await import('../recovery/policy/policies.js');
    return findPolicy(store, flags.policy);
  }
  const ringed = (await store.readPolicies()).filter(
    (row) => row.rings.length > 0 && row.state !== 'RETIRED',
  );
  const [one] = ringed;
  if (one === undefined)
    throw new MpeError('USAGE', 'no policy has rings; see "mpe policy set --help", option --ring');
  if (ringed.length > 1)
    throw new MpeError(
      'USAGE',
      `several policies have rings (${ringed.map((row) => row.name).join(', ')}): name one with --policy`,
    );
  return one;
}

async function change(
  flags: Flags,
  work: (
    rule: typeof RingRule,
    store: SiteStore,
    policy: PolicyRow,
    actor: PolicyActor,
  ) => Promise<PolicyRow>,
): Promise<void> {
  const config = loadConfig();
  const rule = await import('../recovery/policy/rings.js');
  const { policyActor } = await import('./policy-actor.js');
  await withStore(config, async (store) => {
    const actor = policyActor(config, store, await requireSite(store));
    const policy = await work(rule, store, await policyOf(store, flags), actor);
    await tell(store, policy, policy.rings, flags.json);
  });
}

async function list(flags: Flags): Promise<void> {
  await reading(async (store) => {
    const policy = await policyOf(store, flags);
    await tell(store, policy, policy.rings, flags.json);
  });
}

async function show(position: number, flags: Flags): Promise<void> {
  await reading(async (store) => {
    const policy = await policyOf(store, flags);
    const rings = policy.rings.filter((ring) => ring.position === position);
    if (rings.length === 0)
      throw new MpeError('USAGE', `the policy "${policy.name}" has the rings 1 to ${policy.rings.length}`);
    await tell(store, policy, rings, flags.json);
  });
}

async function reading(work: (store: SiteStore) => Promise<void>): Promise<void> {
  await withStore(
    loadConfig(),
    async (store) => {
      await requireSite(store);
      await work(store);
    },
    { readOnly: true },
  );
}

/** Prints rings with how they fare; a closed one, or one of a draft, has heard of nobody. */
async function tell(
  store: SiteStore,
  policy: PolicyRow,
  rings: readonly PolicyRing[],
  json: boolean,
): Promise<void> {
  const { failureRate, percent } = await import('../recovery/policy/ring-rules.js');
  const all = await store.policy.ringCounts();
  const of = (ring: PolicyRing): RingCounts =>
    all.find((one) => one.policyId === policy.policyId && one.position === ring.position) ?? {
      ...{ policyId: policy.policyId, position: ring.position, machines: 0, heard: 0, failed: 0 },
    };
  if (json) {
    printJson(
      rings.map((ring) => ({
        ...{ policyId: policy.policyId, policy: policy.name },
        ...ring,
        ...of(ring),
        failureRate: failureRate(of(ring)),
      })),
    );
    return;
  }
  print(
    `policy ${policy.name}, ${policy.state.toLowerCase()}`,
    '',
    ...table(
      ['ring', 'tag', 'state', 'since', 'machines', 'heard', 'failed', 'rate', 'limit', 'opens', 'an hour'],
      rings.map((ring) => [
        String(ring.position),
        ring.tag,
        ring.state.toLowerCase(),
        ring.openedAtMs === null ? '' : time(ring.pausedAtMs ?? ring.openedAtMs),
        ...[of(ring).machines, of(ring).heard, of(ring).failed].map(String),
        percent(failureRate(of(ring))),
        percent(ring.failureLimit),
        opensText(ring),
        String(ring.rotationsPerHour),
      ]),
    ),
    ...rings
      .filter((ring) => ring.state === 'PAUSED')
      .map(
        (ring) => `ring ${ring.position} is paused: ${ring.pauseReason}  → mpe rings resume ${ring.position}`,
      ),
  );
}
