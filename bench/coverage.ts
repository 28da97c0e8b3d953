import { randomBytes } from 'node:crypto';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { loadConfig } from '../src/config/index.js';
import { coverageReport } from '../src/recovery/coverage/report.js';
import { createDatabase, dropDatabase } from '../src/store/mssql/own-database.js';
import { openStore, type StoreLocation } from '../src/store/open-store.js';
import type { SiteStore } from '../src/store/site-store.js';
import { tempFolder } from '../test/support/temp.js';
import { T0 } from '../test/store/world.js';
import { fillSiteSqlite } from './coverage/fill-sqlite.js';
import { FEW, MANY, VOLUMES } from './coverage/plan.js';

/** What is measured. */
export interface CoverageBenchOptions {
  /** Machines of the large site. */
  readonly machines?: number;
  readonly print: (line: string) => void;
}

const PAGE = 100;
/** Half of the waiting rotations are late by then. */
const nowOf = (machines: number): number => T0 + (machines * VOLUMES) / 2;

/** What people and the service's own watch ask of the whole site. */
const ASKED: readonly {
  readonly what: string;
  readonly times: number;
  readonly ask: (store: SiteStore, machines: number) => Promise<unknown>;
}[] = [
  {
    what: 'the coverage report',
    times: 5,
    ask: async (store, machines) => {
      const { denominator } = await coverageReport(store, nowOf(machines));
      if (denominator.machines !== machines) throw new Error(`${denominator.machines} machines were counted`);
    },
  },
  { what: 'how rings fare', times: 5, ask: (store) => store.policy.ringCounts() },
  {
    what: `${PAGE} rotations, the first that are due`,
    times: 50,
    ask: (store) => store.rotation.page({ open: true }, null, PAGE),
  },
  {
    what: `${PAGE} overdue rotations`,
    times: 50,
    ask: (store, machines) => store.rotation.page({ open: true, dueBeforeMs: nowOf(machines) }, null, PAGE),
  },
  {
    what: `${PAGE} rotations that ended`,
    times: 50,
    ask: (store) => store.rotation.page({ open: false }, null, PAGE),
  },
  {
    what: 'a machine by its name',
    times: 200,
    ask: (store, machines) =>
      store.search.keys({ by: 'machine', machine: `PC${machines}`, domain: null }, { limit: PAGE }),
  },
  {
    what: 'a machine by its name, for what MBAM asks',
    times: 200,
    ask: (store, machines) => store.disclosure.findMachines(`CORP\\PC${machines}`),
  },
  {
    what: "a user's machines",
    times: 200,
    ask: (store, machines) =>
      store.search.machinesOf([{ domain: 'CORP', account: `user${machines - 1}` }], PAGE),
  },
];

/**
 * What a report or a list of the whole site takes with forty thousand machines against four hundred.
 * What reads every machine should take about a hundred times as long, what shows a page about as long.
 * Beside it the longest time for which this process could do nothing else. On SQLite, and on the server of
 * MPE_TEST_SQLSERVER_URL where it is set.
 */
export async function runCoverage({ machines = MANY, print }: CoverageBenchOptions): Promise<void> {
  const [cpu] = cpus();
  print(
    `   ${cpus().length} × ${cpu?.model ?? '?'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}`,
  );
  const folder = tempFolder('mpe-bench-');
  const files = [FEW, machines].map((count): StoreLocation => {
    const path = join(folder, `${count}.db`);
    const began = performance.now();
    fillSiteSqlite(path, count);
    tellFill(print, 'SQLite', count, began);
    return { kind: 'sqlite', path };
  });
  await measure('SQLite', files, machines, print);
  const server = process.env['MPE_TEST_SQLSERVER_URL'] ?? '';
  if (server === '') print('   SQL Server        not measured: MPE_TEST_SQLSERVER_URL is not set');
  else await onSqlServer(server, machines, print);
}

async function onSqlServer(
  url: string,
  machines: number,
  print: CoverageBenchOptions['print'],
): Promise<void> {
  // Loads the driver, which is large, only where it is used.
  const { fillSiteMssql } = await import('./coverage/fill-mssql.js');
  const server = loadConfig({ MPE_STORE_URL: url }).store;
  if (server.kind !== 'mssql') throw new Error('MPE_TEST_SQLSERVER_URL must be an mssql:// URL');
  const made: string[] = [];
  try {
    const locations: StoreLocation[] = [];
    for (const count of [FEW, machines]) {
      const name = `mpe_t_${randomBytes(6).toString('hex')}`;
      made.push(name);
      const target = await createDatabase(server.target, name);
      const began = performance.now();
      await fillSiteMssql(target, count);
      tellFill(print, 'SQL Server', count, began);
      locations.push({ ...server, target });
    }
    await measure('SQL Server', locations, machines, print);
  } finally {
    // A database that stays must not hide what ended the measurement.
    for (const name of made) {
      await dropDatabase(server.target, name).catch((error: unknown) => {
        print(`   ${name} is left behind: ${error instanceof Error ? error.message : ''}`);
      });
    }
  }
}

function tellFill(print: CoverageBenchOptions['print'], store: string, count: number, began: number): void {
  const seconds = (performance.now() - began) / 1000;
  print(
    `   ${store.padEnd(17)} ${count.toLocaleString('en-US')} machines, ${VOLUMES} volumes each, in ${seconds.toFixed(1)} s`,
  );
}

async function measure(
  name: string,
  locations: readonly StoreLocation[],
  machines: number,
  print: CoverageBenchOptions['print'],
): Promise<void> {
  const stores = await Promise.all(locations.map((location) => openStore(location, { readOnly: true })));
  try {
    for (const { what, times, ask } of ASKED) {
      const took: number[][] = stores.map(() => []);
      const used: number[][] = stores.map(() => []);
      const stopped = stores.map(() => 0);
      for (let n = -1; n < times; n += 1) {
        for (const [i, count] of [FEW, machines].entries()) {
          const loop = monitorEventLoopDelay({ resolution: 1 });
          loop.enable();
          // It measures from one of its own ticks to the next.
          await new Promise((resume) => setTimeout(resume, 5));
          const [began, cpu] = [performance.now(), process.cpuUsage()];
          await ask(stores[i]!, count);
          const ms = performance.now() - began;
          const { user, system } = process.cpuUsage(cpu);
          // What stopped the loop until now is noticed at its next turn.
          await new Promise((resume) => setTimeout(resume, 5));
          loop.disable();
          if (n < 0) continue;
          took[i]!.push(ms);
          used[i]!.push((user + system) / 1000);
          stopped[i] = Math.max(stopped[i]!, loop.max / 1e6);
        }
      }
      const [few, many] = took.map(median) as [number, number];
      print(
        `   ${name}, ${what}: ${few.toFixed(1)} ms, ${many.toFixed(1)} ms, ratio ${(many / few).toFixed(1)}; ` +
          `${median(used[1]!).toFixed(0)} ms of this processor, the process stood still for ${stopped[1]!.toFixed(0)} ms at most`,
      );
    }
  } finally {
    await Promise.all(stores.map((store) => store.close()));
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
