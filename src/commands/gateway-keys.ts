import { X509Certificate } from 'node:crypto';
import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { gatewayNames, namesOf } from '../secrets/gateway-names.js';
import { readTokenKeyTime } from '../secrets/key-files.js';
import { readTruth } from '../site/open-site.js';
import { renewGatewayTls } from '../site/renew-tls.js';
import { retireTokenKeys } from '../site/retire-token-keys.js';
import { rotateTokenKey } from '../site/rotate-token-key.js';
import { group } from './group.js';
import { print, printJson, table, time, warn } from './output.js';
import { withSiteChange } from './with-site-change.js';

interface Json {
  readonly json: boolean;
}

/** `mpe gateway-keys …`: what gateways sign site tokens with, and their TLS certificate. */
export function register(program: Command): void {
  const keys = group(program, 'gateway-keys', 'Keys of the gateways: token key and TLS certificate');
  keys
    .command('list')
    .description('list token keys and the TLS certificate; needs gateway/')
    .option('--json', 'print them as JSON', false)
    .action(list);
  keys
    .command('rotate')
    .description('make a new token key beside the old one, and publish; needs gateway/ and root/')
    .option('--again', 'also where the present key is younger than an hour', false)
    .option('--json', 'print the result as JSON', false)
    .action(rotate);
  keys
    .command('retire')
    .description('take former token keys out of the site document; needs gateway/ and root/')
    .option('--now', 'although their tokens may live: where others may know the key', false)
    .option('--json', 'print the result as JSON', false)
    .action(retire);
  keys
    .command('renew-tls')
    .description('make a new TLS key and certificate by the site CA; needs gateway/ and ca/')
    .option('--hostname <names...>', 'names or addresses instead of the present ones')
    .option('--json', 'print the result as JSON', false)
    .action(renewTls);
}

async function list({ json }: Json): Promise<void> {
  await withSiteChange(
    loadConfig(),
    async (change) => {
      const { document } = await readTruth(change);
      const { keyFolder } = change;
      const present = keyFolder.tokenKey().kid;
      const sinceMs = readTokenKeyTime(keyFolder.path);
      const tokenKeys = document.tokenKeys.map(({ kid }) => ({ kid, signs: kid === present }));
      const { cert } = keyFolder.tls();
      const tls = { names: namesOf(cert), notAfterMs: Date.parse(new X509Certificate(cert).validTo) };
      if (json) {
        printJson({ siteDocument: document.version, tokenKeys, signsSinceMs: sinceMs, tls });
        return;
      }
      print(
        ...table(
          ['token key', 'state'],
          tokenKeys.map(({ kid, signs }) => [
            kid,
            signs
              ? `signs${sinceMs === null ? '' : ` since ${time(sinceMs)}`}`
              : 'former: gateways take its tokens',
          ]),
        ),
        '',
        `TLS certificate until ${time(tls.notAfterMs)} for ${tls.names.join(', ')}`,
      );
      if (!tokenKeys.some(({ signs }) => signs))
        warn(
          `The site document does not name the token key of this folder (${present}): copy gateway/ to it.`,
        );
    },
    { readOnly: true },
  );
}

async function rotate({ again, json }: Json & { readonly again: boolean }): Promise<void> {
  const { kid, changed, documentVersion } = await withSiteChange(loadConfig(), (change) =>
    rotateTokenKey(change, { again }),
  );
  if (json) {
    printJson({ kid, changed, version: documentVersion });
    return;
  }
  if (!changed) {
    print(
      `${kid} was made less than an hour ago; site document ${documentVersion} names it. For yet another: --again`,
    );
    return;
  }
  print(
    `new token key  ${kid}`,
    `Site document ${documentVersion} names it and the former one; gateways take tokens of both.`,
    'Now copy gateway/ to every host of a gateway: each signs with the new key within 15 seconds, without a restart.',
    'Eight hours after the last of them: mpe gateway-keys retire',
  );
}

async function retire({ now, json }: Json & { readonly now: boolean }): Promise<void> {
  const { retired, documentVersion } = await withSiteChange(loadConfig(), (change) =>
    retireTokenKeys(change, { now }),
  );
  if (json) {
    printJson({ retired, version: documentVersion });
    return;
  }
  if (retired.length === 0) {
    print(`Nothing to retire: site document ${documentVersion} names the present token key alone.`);
    return;
  }
  print(
    ...retired.map((kid) => `retired  ${kid}`),
    `Site document ${documentVersion} names the present token key alone: gateways refuse other tokens within 15 seconds,`,
    'and their clients get new ones by themselves. A gateway without the new key gives none: copy gateway/ to it.',
  );
}

async function renewTls({ hostname, json }: Json & { readonly hostname?: readonly string[] }): Promise<void> {
  const { names, notAfterMs } = await withSiteChange(loadConfig(), (change) =>
    renewGatewayTls(change, { names: hostname === undefined ? null : gatewayNames(hostname) }),
  );
  if (json) {
    printJson({ names, notAfterMs });
    return;
  }
  print(
    `new TLS certificate until ${time(notAfterMs)} for ${names.join(', ')}`,
    'Now copy gateway/ to every host of a gateway: each shows it within 15 seconds, without a restart.',
    'The former certificate stays good until it ends; clients trust whatever the site CA signed.',
  );
}
