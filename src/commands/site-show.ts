import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { verifySiteDocument } from '../jose/site-document.js';
import { checkSite } from '../secrets/site-check.js';
import { openKeyFolder } from '../secrets/key-folder.js';
import { group } from './group.js';
import { print, printJson, table, time } from './output.js';
import { requireSite, withStore } from './with-store.js';

/** `mpe site show`: the site and its verified document. No secret. */
export function register(program: Command): void {
  group(program, 'site', 'The site: its keys, its document, its database')
    .command('show')
    .description('show the site, its verified document and its policies')
    .option('--json', 'print it as JSON', false)
    .action(show);
}

async function show(options: { readonly json: boolean }): Promise<void> {
  const config = loadConfig();
  await withStore(
    config,
    async (store) => {
      const site = await requireSite(store);
      const { jws } = await store.readSiteDocument();
      // A host without a key folder still sees the site; one with a wrong folder is told.
      const hasKeys = existsSync(config.keysDir);
      const document = hasKeys
        ? await checkSite(await openKeyFolder(config.keysDir, 'anyone'), site, jws)
        : await verifySiteDocument(jws, site.rootThumbprint);
      const policies = await store.readPolicies();
      if (options.json) {
        printJson({ site, document, policies, keyFolder: hasKeys ? config.keysDir : null });
        return;
      }
      print(
        `Site "${site.name}"${site.testSite ? ' (TEST SITE)' : ''}`,
        `  site GUID            ${site.siteGuid}`,
        `  root thumbprint      ${document.rootKey.kid}`,
        `  behaves as version   ${site.siteVersion}`,
        `  made                 ${time(site.createdAtMs)}`,
        `  site document        version ${document.version}, ${time(document.issuedAtMs)} to ${time(document.expiresAtMs)}, verified`,
        `  certificate          ${document.certificateThumbprint ?? 'NONE: keys are stored in PLAIN TEXT'}`,
        `  gateway CA           ${document.gatewayCaThumbprint}`,
        `  sealing keys         ${document.sealingKeys.map((key) => `${key.alg} ${key.kid}`).join(', ')}`,
        `  token keys           ${document.tokenKeys.map((key) => key.kid).join(', ')}`,
        `  key folder           ${hasKeys ? `${config.keysDir} (of this site)` : 'none on this host'}`,
        '',
        ...table(
          ['policy', 'mode', 'for', 'packages', 'removable', 'TPM', 'check interval'],
          policies.map((policy) => [
            policy.name,
            policy.mode.toLowerCase(),
            policy.targetTag ?? 'all clients',
            policy.storePackages ? 'yes' : 'no',
            policy.removableDrives ? 'yes' : 'no',
            policy.tpmOwnerAuth ? 'yes' : 'no',
            `${policy.checkIntervalMinutes} minutes`,
          ]),
        ),
      );
    },
    { readOnly: true },
  );
}
