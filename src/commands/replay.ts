import { resolve } from 'node:path';
import { type Command } from 'commander';
import { SingleBar } from 'cli-progress';
import { loadConfig, type Config, type StoreSetting } from '../config/index.js';
import { fixedClock, systemClock, type Clock } from '../ops/clock.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import { DEFAULT_FIXTURES, materialOf, readyCases } from '../replay/fixture-folder.js';
import { replayGateway } from '../replay/gateway-run.js';
import {
  replayInProcess,
  replayOrders,
  type InProcessOptions,
  type InProcessResult,
} from '../replay/in-process.js';
import { loadFixtures, selectFixtures } from '../replay/load-fixtures.js';
import type { OrderKind } from '../replay/order.js';
import { casesOf, junitXml, reportJson, reportLines, type ReplayReport } from '../replay/replay-report.js';
import { isUnreachable } from '../replay/replay-set.js';
import { SecretScanner } from '../replay/scan.js';
import type { ReplayStores } from '../replay/site-place.js';
import { SITE_VARIANTS, type SiteVariant } from '../replay/site-variants.js';
import { updateFixture } from '../replay/update-fixture.js';
import { FingerprintKey } from '../secrets/fingerprint.js';
import { numberOption } from './number-option.js';
import { print, warn, writeReport } from './output.js';

interface Options {
  readonly fixtures: string;
  readonly gateway?: string;
  readonly site: string;
  readonly store?: string | true;
  readonly storeDir?: string;
  readonly only?: string;
  readonly at?: string;
  readonly order: string;
  readonly seed: number;
  readonly times: number;
  readonly orders?: number;
  readonly again: boolean;
  readonly scan: readonly string[];
  readonly junit?: string;
  readonly json?: string;
  readonly update: boolean;
}

/** Exit status, documented in docs/fixtures.md. */
const EXIT = { ok: 0, mismatch: 1, badFixture: 2, unreachable: 3, secretFound: 4 } as const;

const ORDERS: readonly OrderKind[] = ['source', 'reverse', 'seed'];

/** `mpe replay`: sends the fixtures and compares answers and rows with what they expect. */
export function register(program: Command): void {
  program
    .command('replay')
    .description('send the fixtures into an empty site, or to a gateway, and compare answers and rows')
    .option('--fixtures <folder>', 'folder of the fixtures', DEFAULT_FIXTURES)
    .option('--only <pattern>', 'cases whose name contains this (* = anything), or that have this tag')
    .option('--order <order>', `one of the permitted orders: ${ORDERS.join(', ')}`, 'source')
    .option('--seed <n>', 'seed of --order seed', numberOption('--seed', 0, 4_294_967_295), 1)
    .option(
      '--orders <n>',
      'send it in source order, in reverse and in n seeded orders, each into sites of its own',
      numberOption('--orders', 0, 10_000),
    )
    .option('--times <n>', 'send the set this often into the same site', numberOption('--times', 1, 1000), 1)
    .option('--again', 'the set was sent to this gateway before (known by itself with --store)', false)
    .option('--at <time>', 'let the site stand at this time, e.g. 2031-01-01T00:00:00Z (not with --gateway)')
    .option('--store-dir <folder>', 'make the sites here and keep them; a site that is there is used again')
    .option('--gateway <url>', 'send to a running test site made with the fixture keys')
    .option('--site <variant>', `which site the gateway is: ${SITE_VARIANTS.join(', ')}`, 'standard')
    .option(
      '--store [url]',
      "with --gateway the running site's database, to compare rows and do operators' steps; without it a SQL " +
        'Server (mssql://) where each site gets a database that is dropped afterwards; default MPE_STORE_URL, ' +
        'password in MPE_STORE_PASSWORD_FILE',
    )
    .option('--scan <paths...>', 'search these files and folders for every secret of the fixtures', [])
    .option('--junit <file>', 'write JUnit XML')
    .option('--json <file>', 'write the report as JSON')
    .option('--update', 'write what was found into the cases, for you to read the difference', false)
    .addHelpText(
      'after',
      '\nExit status: 0 as expected, 1 a difference, 2 a bad fixture or call, 3 unreachable, 4 a secret found in clear',
    )
    .action(replay);
}

async function replay(options: Options): Promise<void> {
  try {
    process.exitCode = await run(options);
  } catch (error) {
    const status = isUnreachable(error)
      ? EXIT.unreachable
      : isMpeError(error, 'FIXTURE_INVALID') ||
          isMpeError(error, 'USAGE') ||
          isMpeError(error, 'CONFIG_INVALID')
        ? EXIT.badFixture
        : null;
    if (status === null) throw error;
    warn(`mpe: ${(error as MpeError).code}: ${(error as MpeError).message}`);
    process.exitCode = status;
  }
}

async function run(options: Options): Promise<number> {
  if (options.update && (process.env['CI'] ?? '') !== '')
    throw new MpeError(
      'USAGE',
      '--update is refused where CI is set: a machine must not approve its own difference',
    );
  if (options.at !== undefined && options.gateway !== undefined)
    throw new MpeError(
      'USAGE',
      '--at sets the clock of a site in this process; a running site has its own (MPE_TEST_CLOCK_OFFSET)',
    );
  if (options.orders !== undefined && (options.gateway !== undefined || options.storeDir !== undefined))
    throw new MpeError(
      'USAGE',
      '--orders makes sites of its own; it goes with neither --gateway nor --store-dir',
    );
  if (options.store !== undefined && options.storeDir !== undefined)
    throw new MpeError('USAGE', '--store-dir keeps SQLite files; it does not go with --store');
  const order = ORDERS.find((kind) => kind === options.order);
  if (order === undefined) throw new MpeError('USAGE', `--order is one of ${ORDERS.join(', ')}`);
  const variant = SITE_VARIANTS.find((name) => name === options.site);
  if (variant === undefined) throw new MpeError('USAGE', `--site is one of ${SITE_VARIANTS.join(', ')}`);
  const config = loadConfig();
  const folder = resolve(options.fixtures);
  const material = materialOf(folder);
  const loaded = loadFixtures(folder);
  const cases = readyCases(folder, selectFixtures(loaded, options.only), material);
  const scanner = new SecretScanner(loaded.map(({ fixture }) => fixture));
  const bar = progressBar();
  const common = {
    ...{ cases, material, order, seed: options.seed, times: options.times, scanner },
    onProgress: (site: string, done: number, total: number) => bar.show(site, done, total),
  };
  let report: ReplayReport;
  try {
    const result =
      options.gateway === undefined
        ? { ...(await inProcess({ ...common, ...inProcessOptions(options, config) }, options)), leftOut: [] }
        : await replayGateway({ ...common, ...gatewayOptions(options, options.gateway, variant, config) });
    for (const path of options.scan) scanner.scanPath(path);
    report = {
      ...result,
      ...{ order: options.orders === undefined ? order : 'every', seed: options.seed },
      findings: scanner.findings,
      scannedBytes: scanner.scanned,
    };
  } finally {
    bar.stop();
  }
  if (options.update) update(report, cases, material.site.fingerprintKey);
  const status = exitOf(report);
  print(...reportLines(report));
  if (options.junit !== undefined) writeReport(options.junit, junitXml(report));
  if (options.json !== undefined)
    writeReport(options.json, `${JSON.stringify(reportJson(report, status), null, 2)}\n`);
  if (status !== EXIT.ok) print(`exit ${status}`);
  return status;
}

function inProcess(set: InProcessOptions, { orders }: Options): Promise<InProcessResult> {
  return orders === undefined ? replayInProcess(set) : replayOrders(set, orders);
}

function exitOf(report: ReplayReport): number {
  if (report.findings.length > 0) return EXIT.secretFound;
  const failed = casesOf(report).some((c) => c.status === 'failed');
  return failed || report.faults.length > 0 ? EXIT.mismatch : EXIT.ok;
}

function inProcessOptions(options: Options, config: Config): { clock: Clock; stores: ReplayStores } {
  const stores = storesOf(options, config);
  if (options.at === undefined) return { clock: systemClock(config.test.clockOffsetMs), stores };
  const atMs = Date.parse(options.at);
  if (Number.isNaN(atMs)) throw new MpeError('USAGE', '--at is a time such as 2031-01-01T00:00:00Z');
  return { clock: fixedClock(atMs), stores };
}

/** Where the sites of a replay in this process are made. */
function storesOf(options: Options, config: Config): ReplayStores {
  if (options.store === undefined)
    return { kind: 'sqlite', folder: options.storeDir === undefined ? null : resolve(options.storeDir) };
  const store = storeOf(options.store, config);
  if (store.kind === 'mssql') return { kind: 'mssql', server: store };
  throw new MpeError(
    'USAGE',
    'without --gateway, --store names a SQL Server (mssql://…) on which databases may be made; SQLite sites are made by themselves (--store-dir keeps them)',
  );
}

function gatewayOptions(
  options: Options,
  address: string,
  variant: SiteVariant,
  config: Config,
): { address: string; variant: SiteVariant; store: StoreSetting | null; clock: Clock; again: boolean } {
  const clock = systemClock(config.test.clockOffsetMs);
  const { again } = options;
  const store = options.store === undefined ? null : storeOf(options.store, config);
  return { address, variant, store, clock, again };
}

/** The database of `--store`; its password may stand in the environment or a file, as for MPE_STORE_URL. */
function storeOf(url: string | true, config: Config): StoreSetting {
  if (url === true) return config.store;
  const { MPE_STORE_PASSWORD, MPE_STORE_PASSWORD_FILE } = process.env;
  return loadConfig({ MPE_STORE_URL: url, MPE_STORE_PASSWORD, MPE_STORE_PASSWORD_FILE }).store;
}

function update(
  report: ReplayReport,
  cases: readonly Parameters<typeof updateFixture>[0][],
  { id, key }: { readonly id: FingerprintKey['id']; readonly key: Uint8Array },
): void {
  const fingerprintKey = new FingerprintKey(id, key);
  for (const result of casesOf(report)) {
    const ready = cases.find(({ fixture }) => fixture.name === result.name);
    if (result.status !== 'failed' || ready === undefined) continue;
    if (updateFixture(ready, result, fingerprintKey)) print(`updated ${ready.file}: read the difference`);
  }
}

/** A bar on a terminal, nothing elsewhere: a log is no place for one. */
function progressBar(): { show(site: string, done: number, total: number): void; stop(): void } {
  const plain = !process.stderr.isTTY || (process.env['NO_COLOR'] ?? '') !== '';
  if (plain) return { show: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    format: 'replay {site}  {bar} {value}/{total}',
    hideCursor: true,
    clearOnComplete: true,
  });
  let current = '';
  return {
    show(site, done, total) {
      if (site !== current || done <= 1) {
        current = site;
        bar.start(total, done, { site });
      } else bar.update(done);
    },
    stop: () => bar.stop(),
  };
}
