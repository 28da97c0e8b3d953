import type { Command } from 'commander';
import { MpeClient } from '../client/index.js';
import { loadConfig } from '../config/index.js';
import { channelClientId, channelOptions } from './client-channel.js';
import { enrolmentTokenOf, tellEvents, withClient } from './client-common.js';
import { numberOption } from './number-option.js';
import { print } from './output.js';

interface EnrolFlags {
  readonly url: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly name?: string;
  readonly domain: string;
  readonly timeout: number;
  readonly verbose: boolean;
}

/** `mpe client enrol`, `mpe client token`, `mpe client renew-key`. */
export function registerEnrol(client: Command): void {
  client
    .command('enrol')
    .description('register this client; safe to run again')
    .requiredOption('--url <url>', 'a gateway, e.g. https://mp1.example.org:8443')
    .option('--token <text>', 'the enrolment token, mpe1.…')
    .option('--token-file <path>', 'a file with the enrolment token ("-": standard input)')
    .option('--name <text>', 'machine name (default: this host)')
    .option('--domain <text>', 'domain', '')
    .option('--timeout <seconds>', 'how long to wait', numberOption('--timeout', 1, 86_400), 60)
    .option('--verbose', 'tell every step', false)
    .action(enrol);
  client
    .command('token')
    .description('get a site token, to see that the channel works (its text is not shown)')
    .option('--verbose', 'tell every step', false)
    .action(async (flags: { readonly verbose: boolean }) => {
      await withClient(tellEvents(flags.verbose), async (one) => {
        await one.token();
        print(`the site accepts client ${one.clientId}`);
      });
    });
  client
    .command('renew-key')
    .description('register a new signing key, signed by the old one')
    .option('--timeout <seconds>', 'how long to wait', numberOption('--timeout', 1, 86_400), 60)
    .action(async (flags: { readonly timeout: number }) => {
      await withClient(tellEvents(false), async (one) => {
        await one.renewKey(flags.timeout * 1000);
        print(`client ${one.clientId} has a new key, epoch ${one.epoch}`);
      });
    });
}

async function enrol(flags: EnrolFlags): Promise<void> {
  const config = loadConfig();
  const { clientHome } = config;
  const client = await MpeClient.enrol({
    ...tellEvents(flags.verbose),
    ...channelOptions(config),
    ...channelClientId(config),
    url: flags.url,
    enrolmentToken: enrolmentTokenOf(flags),
    state: clientHome,
    machine: {
      ...(flags.name === undefined ? {} : { machineName: flags.name }),
      domain: flags.domain,
    },
    registrationTimeoutMs: flags.timeout * 1000,
  });
  try {
    print(
      `client    ${client.clientId}, epoch ${client.epoch}`,
      `site      ${client.site.name} ${client.siteGuid}, document version ${client.site.version}`,
      `state     ${clientHome}`,
      `check in  every ${client.site.checkIntervalMinutes} minutes`,
    );
    if (client.site.plaintextConsent) print('WARNING: this site stores recovery keys in plain text');
  } finally {
    await client.close();
  }
}
