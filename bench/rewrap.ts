import { randomBytes } from 'node:crypto';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../src/config/index.js';
import { systemClock } from '../src/ops/clock.js';
import type { Guid } from '../src/protocol/guid.js';
import { rewrapDataKeys } from '../src/recovery/rewrap.js';
import { loadCertificateKey } from '../src/secrets/certificate.js';
import { FileKeeper } from '../src/secrets/certificate-keeper.js';
import { createCertificate } from '../src/secrets/create-certificate.js';
import { unwrapDataKey, wrapDataKey } from '../src/secrets/data-key.js';
import type { DataKeyRow } from '../src/secrets/types.js';
import { createDatabase, dropDatabase } from '../src/store/mssql/own-database.js';
import { openStore, type StoreLocation } from '../src/store/open-store.js';
import { tempFolder } from '../test/support/temp.js';
import { siteSeed } from '../test/store/world.js';
import { fillSqlite } from './lookup/fill-sqlite.js';

/** What is measured. */
export interface RewrapBenchOptions {
  readonly secrets: number;
  /** Data keys of the database; without it, a realistic and a pessimistic number. */
  readonly dataKeys?: number;
  readonly print: (line: string) => void;
}

/** Eight workers that make a data key a day: a rollout of a million machines in four months. */
const REALISTIC = 1000;
/** The same for three years, or workers that are started anew all day. */
const PESSIMISTIC = 9000;
const GOAL_SECONDS = 10;
const AT_ONCE = 8;

/**
 * How long a change of certificate takes on a database of many stored secrets: `rewrapDataKeys`, which
 * touches data keys alone. Beside it in the same run: opening each data key and nothing else, which no way
 * of doing it can do without, so that their ratio does not depend on the machine.
 */
export async function runRewrap({ secrets, dataKeys, print }: RewrapBenchOptions): Promise<void> {
  const [cpu] = cpus();
  print(`   ${cpus().length} × ${cpu?.model ?? '?'}, Node ${process.versions.node}`);
  const [former, target] = await Promise.all([createCertificate(Date.now()), createCertificate(Date.now())]);
  const keeper = await FileKeeper.of([loadCertificateKey(former)]);
  const { siteGuid } = siteSeed().site;
  for (const count of dataKeys === undefined ? [REALISTIC, PESSIMISTIC] : [dataKeys]) {
    const rows = await makeRows(count, siteGuid, keeper);
    const measureOn = (name: string, location: StoreLocation): Promise<void> =>
      measure(name, location, { rows, siteGuid, keeper, target: loadCertificateKey(target), secrets, print });
    const path = join(tempFolder('mpe-bench-'), 'site.db');
    fillSqlite(path, secrets);
    await measureOn('SQLite', { kind: 'sqlite', path });
    await onSqlServer(secrets, measureOn, print);
  }
}

async function onSqlServer(
  secrets: number,
  measureOn: (name: string, location: StoreLocation) => Promise<void>,
  print: RewrapBenchOptions['print'],
): Promise<void> {
  const url = process.env['MPE_TEST_SQLSERVER_URL'] ?? '';
  if (url === '') {
    print('   SQL Server        not measured: MPE_TEST_SQLSERVER_URL is not set');
    return;
  }
  const { fillMssql } = await import('./lookup/fill-mssql.js');
  const server = loadConfig({ MPE_STORE_URL: url }).store;
  if (server.kind !== 'mssql') throw new Error('MPE_TEST_SQLSERVER_URL must be an mssql:// URL');
  const name = `mpe_t_${randomBytes(6).toString('hex')}`;
  try {
    const target = await createDatabase(server.target, name);
    await fillMssql(target, secrets);
    await measureOn('SQL Server', { ...server, target });
  } finally {
    await dropDatabase(server.target, name);
  }
}

interface Measured {
  readonly rows: readonly DataKeyRow[];
  readonly siteGuid: Guid;
  readonly keeper: FileKeeper;
  readonly target: ReturnType<typeof loadCertificateKey>;
  readonly secrets: number;
  readonly print: RewrapBenchOptions['print'];
}

async function measure(name: string, location: StoreLocation, what: Measured): Promise<void> {
  const { rows, siteGuid, keeper, target, secrets, print } = what;
  const store = await openStore(location);
  try {
    await inParallel(rows, (row) => store.insertDataKey(row));
    const unwrapping = await seconds(() =>
      inParallel(rows, async (row) => {
        (await unwrapDataKey(row, siteGuid, keeper)).fill(0);
      }),
    );
    const clock = systemClock();
    const rewrapping = await seconds(async () => {
      const report = await rewrapDataKeys({ store, keeper, siteGuid, target, clock });
      if (report.wrapped !== rows.length || report.failed.length > 0)
        throw new Error(`${report.wrapped} of ${rows.length} data keys were wrapped`);
    });
    const goal = rewrapping < GOAL_SECONDS ? 'under' : 'OVER';
    print(
      `   ${name.padEnd(17)} ${secrets.toLocaleString('en-US')} secrets, ${rows.length.toLocaleString('en-US')} data keys: ` +
        `${rewrapping.toFixed(1)} s (${goal} ${GOAL_SECONDS} s)   opening alone ${unwrapping.toFixed(1)} s   ` +
        `ratio ${(rewrapping / unwrapping).toFixed(2)}`,
    );
  } finally {
    await store.close();
  }
}

async function makeRows(count: number, siteGuid: Guid, keeper: FileKeeper): Promise<readonly DataKeyRow[]> {
  const [certificate] = keeper.certificates();
  if (certificate === undefined) throw new Error('there is a certificate');
  const numbers = Array.from({ length: count }, (_, n) => n);
  const rows: DataKeyRow[] = [];
  await inParallel(numbers, async (n) => {
    const dataKeyId = `d0000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}` as Guid;
    rows.push({
      dataKeyId,
      certificateThumbprint: certificate.thumbprint,
      wrapped: await wrapDataKey(randomBytes(32), siteGuid, dataKeyId, certificate),
      createdAtMs: Date.now(),
      createdBy: 'bench',
    });
  });
  return rows;
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const next = items.values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const item of next) await work(item);
    }),
  );
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}
