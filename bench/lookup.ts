import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../src/config/index.js';
import { createDatabase, dropDatabase } from '../src/store/mssql/own-database.js';
import { openStore, type StoreLocation } from '../src/store/open-store.js';
import type { SiteStore } from '../src/store/site-store.js';
import { SeededRandom } from '../test/support/random.js';
import { tempFolder } from '../test/support/temp.js';
import { fillSqlite } from './lookup/fill-sqlite.js';
import { digitsFor, LARGE, SHARED, SMALL } from './lookup/plan.js';

/** What is measured. */
export interface LookupOptions {
  /** Keys of the large database; a fraction of the two million for a quick look. */
  readonly keys?: number;
  readonly print: (line: string) => void;
}

const WARM_UP = 200;
const SINGLE = 2000;
const SEVERAL = 400;
const LIMIT = 50;

/**
 * How long the helpdesk waits for a key by its first eight digits: `store.findKeys` and the portal's
 * `store.search.keys` on two million keys against two thousand. The two are asked in turn in the same run, so that their ratio does not
 * depend on the machine or on what else it does. On SQLite, and on the server of
 * MPE_TEST_SQLSERVER_URL where it is set.
 */
export async function runLookup(options: LookupOptions): Promise<void> {
  const { print } = options;
  const large = options.keys ?? LARGE;
  const [cpu] = cpus();
  print(
    `   ${cpus().length} × ${cpu?.model ?? '?'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}`,
  );
  await onSqlite(large, print);
  const server = process.env['MPE_TEST_SQLSERVER_URL'] ?? '';
  if (server === '') print('   SQL Server        not measured: MPE_TEST_SQLSERVER_URL is not set');
  else await onSqlServer(server, large, print);
}

async function onSqlite(large: number, print: LookupOptions['print']): Promise<void> {
  const folder = tempFolder('mpe-bench-');
  const locations = [SMALL, large].map((keys): StoreLocation => {
    const path = join(folder, `${keys}.db`);
    const began = performance.now();
    fillSqlite(path, keys);
    tellFill(print, 'SQLite', keys, began, ` ${(statSync(path).size / 2 ** 20).toFixed(0)} MiB`);
    return { kind: 'sqlite', path };
  });
  await measure('SQLite', locations, large, print);
}

async function onSqlServer(url: string, large: number, print: LookupOptions['print']): Promise<void> {
  // Loads the driver, which is large, only where it is used.
  const { fillMssql } = await import('./lookup/fill-mssql.js');
  const server = loadConfig({ MPE_STORE_URL: url }).store;
  if (server.kind !== 'mssql') throw new Error('MPE_TEST_SQLSERVER_URL must be an mssql:// URL');
  const made: string[] = [];
  try {
    const locations: StoreLocation[] = [];
    for (const keys of [SMALL, large]) {
      const name = `mpe_t_${randomBytes(6).toString('hex')}`;
      made.push(name);
      const target = await createDatabase(server.target, name);
      const began = performance.now();
      await fillMssql(target, keys);
      tellFill(print, 'SQL Server', keys, began, '');
      locations.push({ ...server, target });
    }
    await measure('SQL Server', locations, large, print);
  } finally {
    // A database that stays must not hide what ended the measurement.
    for (const name of made) {
      await dropDatabase(server.target, name).catch((error: unknown) => {
        print(`   ${name} is left behind: ${error instanceof Error ? error.message : ''}`);
      });
    }
  }
}

function tellFill(
  print: LookupOptions['print'],
  store: string,
  keys: number,
  began: number,
  size: string,
): void {
  const seconds = (performance.now() - began) / 1000;
  print(
    `   ${store.padEnd(17)} ${keys.toLocaleString('en-US')} keys, each with volume, secret, proof and report, in ${seconds.toFixed(1)} s${size}`,
  );
}

async function measure(
  name: string,
  locations: readonly StoreLocation[],
  large: number,
  print: LookupOptions['print'],
): Promise<void> {
  const stores = await Promise.all(locations.map((location) => openStore(location, { readOnly: true })));
  try {
    for (const [what, several, times, ask] of [
      ['one match', false, SINGLE, FIND],
      [`${SHARED} matches`, true, SEVERAL, FIND],
      ['one match, as the portal searches', false, SINGLE, SEARCH],
      [`${SHARED} matches, as the portal searches`, true, SEVERAL, SEARCH],
    ] as const) {
      const took = await askInTurn(stores, large, several, times, ask);
      const [few, many] = took.map(percentile) as [Percentile, Percentile];
      const show = (at: Percentile): string => `p50 ${at(0.5).toFixed(2)} ms   p99 ${at(0.99).toFixed(2)} ms`;
      print(`   ${name}, ${what}`);
      print(`     ${SMALL.toLocaleString('en-US').padEnd(15)} ${show(few)}`);
      print(`     ${large.toLocaleString('en-US').padEnd(15)} ${show(many)}`);
      print(
        `     ratio           p50 ${(many(0.5) / few(0.5)).toFixed(2)}   p99 ${(many(0.99) / few(0.99)).toFixed(2)}`,
      );
    }
  } finally {
    await Promise.all(stores.map((store) => store.close()));
  }
}

/** A look-up by the first digits. */
type Ask = (
  store: SiteStore,
  digits: string,
) => Promise<readonly { readonly readable: boolean; readonly holders: readonly unknown[] }[]>;

/** `mpe keys find`. */
const FIND: Ask = (store, digits) => store.findKeys(digits, LIMIT);
/** The helpdesk portal and the recovery API: also where and since when a key is not current any more. */
const SEARCH: Ask = (store, digits) => store.search.keys({ by: 'digits', digits }, { limit: LIMIT });

/** Milliseconds of each look-up on the small and on the large database. */
async function askInTurn(
  stores: readonly SiteStore[],
  large: number,
  several: boolean,
  times: number,
  ask: Ask,
): Promise<readonly number[][]> {
  const random = new SeededRandom(1);
  const took: number[][] = stores.map(() => []);
  for (let n = -WARM_UP; n < times; n += 1) {
    for (const [i, keys] of [SMALL, large].entries()) {
      const digits = digitsFor(keys, several, random.next());
      const began = performance.now();
      const found = await ask(stores[i]!, digits);
      const ms = performance.now() - began;
      if (
        found.length !== (several ? SHARED : 1) ||
        found.some((key) => !key.readable || key.holders.length !== 1)
      )
        throw new Error(`looking for ${digits} among ${keys} keys found ${found.length}`);
      if (n >= 0) took[i]!.push(ms);
    }
  }
  return took;
}

type Percentile = (share: number) => number;

function percentile(values: readonly number[]): Percentile {
  const sorted = [...values].sort((a, b) => a - b);
  return (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
