import type { Command } from 'commander';
import { clockOf, loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { parseGuid } from '../protocol/guid.js';
import { operatorDeed } from './audited-change.js';
import { requireClient } from './clients.js';
import { group } from './group.js';
import { print } from './output.js';
import { requireSite, withStore } from './with-store.js';

/** `mpe clients tag`. */
export function register(program: Command): void {
  group(program, 'clients', 'Registered clients')
    .command('tag')
    .description('give a client another tag, so that the policies and rings of that tag apply to it')
    .argument('<client>', 'client id')
    .argument('<tag>', 'the tag; "" takes it away')
    .action(tagClient);
}

async function tagClient(client: string, tag: string): Promise<void> {
  const { TAG } = await import('../recovery/policy/settings.js');
  if (tag !== '' && !TAG.test(tag))
    throw new MpeError('USAGE', 'the tag must have 1 to 64 of A-Z a-z 0-9 . _ -');
  const clientId = parseGuid(client);
  const config = loadConfig();
  await withStore(config, async (store) => {
    const site = await requireSite(store);
    await requireClient(store, clientId);
    const record = operatorDeed(config, store, clockOf(config, site.testSite).now());
    await record('Client tagged', `client ${clientId}, ${tag === '' ? 'no tag' : `tag ${tag}`}`);
    if (!(await store.policy.setClientTag(clientId, tag)))
      throw new MpeError('USAGE', `no client ${clientId} is registered`);
    print(tag === '' ? `Client ${clientId} has no tag now.` : `Client ${clientId} has the tag ${tag} now.`);
  });
}
