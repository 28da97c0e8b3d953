import { existsSync, mkdirSync } from 'node:fs';
import { Option, type Command } from 'commander';
import { clockOf, loadConfig, sqlServerName, type Config } from '../config/index.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import type { CreatedSite, CreateSiteOptions } from '../secrets/create-site.js';
import { gatewayNames } from '../secrets/gateway-names.js';
import { assertNoKeyFolder, emptyFolder } from '../secrets/write-key-folder.js';
import { migrateStore } from '../store/migrate-store.js';
import type { SiteStore } from '../store/site-store.js';
import { group } from './group.js';
import { print, printJson, time, warn } from './output.js';
import { withStore } from './with-store.js';

interface Options {
  readonly name: string;
  readonly hostname: readonly string[];
  readonly testSite: boolean;
  readonly plaintextConsent: boolean;
  readonly signingRequired: 'on' | 'off';
  readonly fixtureKeys?: string;
  readonly json: boolean;
}

/** `mpe site init`: makes a site, its keys and its database. */
export function register(program: Command): void {
  group(program, 'site', 'The site: its keys, its document, its database')
    .command('init')
    .description('make a new site: key folder, database, default policy, first enrolment token')
    .option('--name <name>', 'name of the site', 'MPE site')
    .option('--hostname <names...>', 'names or addresses of the gateways, beside localhost and this host', [])
    .option('--test-site', 'allow MPE_TEST_* settings; cannot be taken back', false)
    .option('--plaintext-consent', 'no certificate: store keys in plain text. For isolated tests', false)
    .addOption(
      new Option('--signing-required <on|off>', 'clients sign what they send; this release refuses off')
        .choices(['on', 'off'])
        .default('on'),
    )
    .option('--fixture-keys <folder>', 'with --test-site: the published keys of a fixture set')
    .option('--json', 'print the result as JSON', false)
    .action(init);
}

async function init(options: Options): Promise<void> {
  const config = loadConfig();
  if (options.name.trim() === '' || options.name.length > 256) {
    throw new MpeError('USAGE', '--name must have 1 to 256 characters');
  }
  if (options.fixtureKeys !== undefined && !options.testSite) {
    throw new MpeError('USAGE', '--fixture-keys takes keys that everybody has; it needs --test-site');
  }
  if (options.signingRequired === 'off') {
    throw new MpeError(
      'USAGE',
      'a site without required signing is not supported: whoever holds a gateway could write in any client’s name (ADR 0011)',
    );
  }
  const clock = clockOf(config, options.testSite);
  gatewayNames(options.hostname);
  await migrateServer(config, clock.now());
  await refuseExisting(config);
  assertNoKeyFolder(config.keysDir);
  if (config.store.kind === 'sqlite') mkdirSync(config.home, { recursive: true, mode: 0o700 });
  // Loaded here alone: no other command makes certificates.
  const { createSite } = await import('../secrets/create-site.js');
  const created = await withStore(config, async (store) => {
    assertNoSite((await store.readSite())?.siteGuid);
    const site = await createSite({
      name: options.name.trim(),
      keysDir: config.keysDir,
      hostnames: options.hostname,
      testSite: options.testSite,
      plaintextConsent: options.plaintextConsent,
      now: clock.now(),
      ...(await fixtureKeys(options.fixtureKeys)),
    });
    await storeSite(store, site, config);
    return site;
  });
  report(created, options, config);
}

async function fixtureKeys(folder: string | undefined): Promise<Pick<CreateSiteOptions, 'material'>> {
  if (folder === undefined) return {};
  const { readMaterial } = await import('../replay/material.js');
  return { material: readMaterial(folder).site };
}

/** Opening SQL Server does not migrate it: here, where the login may change the schema. */
async function migrateServer(config: Config, nowMs: number): Promise<void> {
  if (config.store.kind !== 'mssql') return;
  try {
    await migrateStore(config.store, nowMs);
  } catch (error) {
    if (!isMpeError(error) || error.facts['missingRight'] === undefined) throw error;
    throw new MpeError(
      'SCHEMA_MISMATCH',
      'the database has not the schema of this release, and the login may not make it: run `mpe migrate` ' +
        `with a login that may change the schema, then this command again. (${error.message})`,
      { cause: error },
    );
  }
}

/** Looks before anything is made: opening an embedded database would create its file. */
async function refuseExisting(config: Config): Promise<void> {
  if (config.store.kind === 'sqlite' && !existsSync(config.store.path)) return;
  await withStore(config, async (store) => assertNoSite((await store.readSite())?.siteGuid));
}

function assertNoSite(siteGuid: string | undefined): void {
  if (siteGuid === undefined) return;
  throw new MpeError(
    'SITE_EXISTS',
    `the database holds site ${siteGuid} already; one database is one site. Nothing was changed. ` +
      'For another site set MPE_HOME (or MPE_STORE_URL and MPE_KEYS_DIR) to another place.',
  );
}

/** Stores the seed; keys of a site that was not stored are taken back. */
async function storeSite(store: SiteStore, site: CreatedSite, config: Config): Promise<void> {
  try {
    await store.createSite(site.seed);
  } catch (error) {
    // A lost answer may still have been a commit: only a look tells.
    const stored = await store.readSite().then(
      (row) => row?.siteGuid,
      () => 'unknown',
    );
    if (stored === site.seed.site.siteGuid) return;
    if (stored === 'unknown') {
      throw new MpeError(
        'STORE_FAILED',
        `the database did not answer, and whether it holds the site is not known. Keep ${config.keysDir}; ` +
          'see with "mpe site show" whether its site is there.',
        { cause: error },
      );
    }
    emptyFolder(config.keysDir);
    assertNoSite(stored);
    throw error;
  }
}

function report(created: CreatedSite, options: Options, config: Config): void {
  const { seed, document, enrolmentToken } = created;
  const database = config.store.kind === 'sqlite' ? config.store.path : sqlServerName(config.store.target);
  const names = gatewayNames(options.hostname);
  const token = seed.enrolmentTokens[0];
  if (document.plaintextConsent) {
    warn(
      'WARNING: this site has no certificate. Recovery keys will be stored in PLAIN TEXT:',
      'WARNING: whoever reads the database or a backup of it reads every key.',
    );
  }
  if (options.json) {
    printJson({
      siteGuid: document.siteGuid,
      name: document.name,
      rootThumbprint: document.rootKey.kid,
      certificateThumbprint: document.certificateThumbprint,
      gatewayCaThumbprint: document.gatewayCaThumbprint,
      testSite: seed.site.testSite,
      keysDir: config.keysDir,
      database,
      gatewayNames: names,
      enrolmentToken,
    });
    return;
  }
  print(
    `Site "${document.name}" is made${seed.site.testSite ? ' (a TEST SITE: MPE_TEST_* settings are allowed)' : ''}.`,
    '',
    `  site GUID            ${document.siteGuid}`,
    `  root thumbprint      ${document.rootKey.kid}`,
    `  certificate          ${document.certificateThumbprint ?? 'NONE: keys are stored in plain text'}`,
    `  database             ${database}`,
    `  key folder           ${config.keysDir}`,
    `  gateway names        ${names.join(', ')}`,
    '',
    `Enrolment token, shown this once (${token?.usesAllowed ?? 0} uses, until ${time(token?.expiresAtMs ?? 0)}):`,
    '',
    `  ${enrolmentToken}`,
    '',
    'Next:',
    `  1. Back up ${config.keysDir} now, apart from the database. Without recovery/ no stored key can be read;`,
    '     without worker/ no message can be opened. Nothing makes these keys again.',
    '  2. Take root/ and ca/ off this host once the site runs; only changes of the site need them.',
    '  3. Start everything on this host:   mpe up',
    '     or each part on its own:         mpe gateway   and   mpe worker',
    '  4. See that it works:               mpe status',
    '  5. Enrol a client with the token above; docs/protocol.md says how, "mpe client --help" does it.',
  );
}
