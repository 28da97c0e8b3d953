import type { Command } from 'commander';
import { clockOf, loadConfig } from '../config/index.js';
import { verifySiteDocument } from '../jose/site-document.js';
import { group } from './group.js';
import { print, printJson, table, time } from './output.js';
import { requireSite, withStore } from './with-store.js';

/** `mpe management-points list`. */
export function register(program: Command): void {
  group(program, 'management-points', 'Gateways as management points')
    .command('list')
    .description('list gateways, their channel, and whether they have the recovery service')
    .option('--json', 'print JSON', false)
    .action(list);
}

async function list(flags: { readonly json: boolean }): Promise<void> {
  const config = loadConfig();
  const { managementPointStates } = await import('../recovery/policy/service-of.js');
  await withStore(
    config,
    async (store) => {
      const site = await requireSite(store);
      const { jws } = await store.readSiteDocument();
      const document = await verifySiteDocument(jws, site.rootThumbprint);
      const points = managementPointStates(
        await store.policy.managementPoints(),
        { policies: await store.readPolicies(), siteVersion: site.siteVersion, document },
        clockOf(config, site.testSite).now(),
      );
      if (flags.json) printJson(points);
      else if (points.length === 0)
        print('no gateway was seen yet: a gateway and a worker must run, for a quarter of a minute');
      else
        print(
          ...table(
            ['management point', 'channel', 'address', 'seen', 'recovery service'],
            points.map((point) => [
              point.id,
              point.channel,
              point.address,
              `${time(point.lastSeenAtMs)}${point.gone ? ' (gone)' : ''}`,
              point.service ? 'yes' : `no: ${point.detail}`,
            ]),
          ),
        );
    },
    { readOnly: true },
  );
}
