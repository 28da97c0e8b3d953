import { randomBytes } from 'node:crypto';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../src/config/index.js';
import { guard } from '../src/jose/index.js';
import { decryptCompact, encryptCompact, importKey } from '../src/jose/node-jose.js';
import { CONTENT_ENCRYPTION } from '../src/jose/token-rules.js';
import { systemClock } from '../src/ops/clock.js';
import type { Guid } from '../src/protocol/guid.js';
import { rewrapDataKeys } from '../src/recovery/rewrap.js';
import { loadCertificateKey, type CertificateKey } from '../src/secrets/certificate.js';
import { FileKeeper } from '../src/secrets/certificate-keeper.js';
import { createCertificate } from '../src/secrets/create-certificate.js';
import { wrapDataKey } from '../src/secrets/data-key.js';
import type { DataKeyRow } from '../src/secrets/types.js';
import { createDatabase, dropDatabase } from '../src/store/mssql/own-database.js';
import { openStore, type StoreLocation } from '../src/store/open-store.js';
import type { SiteStore } from '../src/store/site-store.js';
import { tempFolder } from '../test/support/temp.js';
import { siteSeed } from '../test/store/world.js';
import { fillSqlite } from './lookup/fill-sqlite.js';

/** What is measured. */
export interface RewrapBenchOptions {
  readonly secrets: number;
  /** Data keys of the database; {@link WORKERS} × {@link DAYS} by default. */
  readonly dataKeys?: number;
  readonly print: (line: string) => void;
}

/**
 * The deployment that a million stored secrets are thought to come from: two hosts with four worker
 * processes each (docs/operator.md, "Run"), at work every day of a year. A worker process makes a data key
 * on first use and ends it after 24 hours, so they leave 8 × 365 = 2,920 data keys; their secrets may be a
 * million or ten, the work is the same. Each start of a worker adds one: restarts for updates once a month
 * are a hundred more. Another deployment: --data-keys.
 */
const WORKERS = 8;
const DAYS = 365;
const GOAL_SECONDS = 10;
const AT_ONCE = 8;
/** Enough of them to compare by; all would double the time of the run. */
const BASELINE = 500;

/**
 * How long a change of certificate takes on a database of many stored secrets: `rewrapDataKeys`, which
 * touches data keys alone. Beside it in the same run the same work as node-jose does it, with a transaction
 * a wrap, on some of these data keys: the ratio of the times for each does not depend on the machine.
 */
export async function runRewrap({ secrets, dataKeys, print }: RewrapBenchOptions): Promise<void> {
  const [cpu] = cpus();
  const load = (): string =>
    loadavg()
      .map((one) => one.toFixed(1))
      .join(' ');
  print(`   ${cpus().length} × ${cpu?.model ?? '?'}, Node ${process.versions.node}, load ${load()}`);
  const count = dataKeys ?? WORKERS * DAYS;
  if (dataKeys === undefined)
    print(`   ${WORKERS} worker processes, a data key a day each, ${DAYS} days: ${figure(count)} data keys`);
  const made = await Promise.all([1, 2, 3].map(() => createCertificate(Date.now())));
  const [former, target, other] = made.map(loadCertificateKey) as [
    CertificateKey,
    CertificateKey,
    CertificateKey,
  ];
  const keeper = await FileKeeper.of([former]);
  const { siteGuid } = siteSeed().site;
  const rows = await makeRows(count, siteGuid, keeper);
  const measureOn = (name: string, location: StoreLocation): Promise<void> =>
    measure(name, location, { rows, siteGuid, keeper, former, target, other, secrets, print });
  const path = join(tempFolder('mpe-bench-'), 'site.db');
  fillSqlite(path, secrets);
  await measureOn('SQLite', { kind: 'sqlite', path });
  await onSqlServer(secrets, measureOn, print);
  print(`   load at the end ${load()}`);
}

const figure = (value: number): string => value.toLocaleString('en-US');

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
  readonly former: CertificateKey;
  readonly target: CertificateKey;
  /** What the baseline wraps to. */
  readonly other: CertificateKey;
  readonly secrets: number;
  readonly print: RewrapBenchOptions['print'];
}

async function measure(name: string, location: StoreLocation, what: Measured): Promise<void> {
  const { rows, siteGuid, keeper, target, secrets, print } = what;
  const store = await openStore(location);
  try {
    await inParallel(rows, (row) => store.insertDataKey(row));
    // Half of the baseline before and half after, so that a load that comes or goes is in both.
    const some = rows.slice(0, BASELINE);
    const half = Math.ceil(some.length / 2);
    const first = await spent(() => byNodeJose(store, some.slice(0, half), what));
    const clock = systemClock();
    const rewrapping = await spent(async () => {
      const report = await rewrapDataKeys({ store, keeper, siteGuid, target, clock });
      if (report.wrapped !== rows.length || report.failed.length > 0)
        throw new Error(`${report.wrapped} of ${rows.length} data keys were wrapped`);
    });
    const second = await spent(() => byNodeJose(store, some.slice(half), what));
    const each = (time: 'seconds' | 'cpu'): string => {
      const own = (rewrapping[time] / rows.length) * 1000;
      const theirs = ((first[time] + second[time]) / some.length) * 1000;
      return `${own.toFixed(2)} ms each, by node-jose ${theirs.toFixed(2)} ms, ratio ${(own / theirs).toFixed(2)}`;
    };
    const goal = rewrapping.seconds < GOAL_SECONDS ? 'under' : 'OVER';
    print(
      `   ${name.padEnd(17)} ${figure(secrets)} secrets, ${figure(rows.length)} data keys: ` +
        `${rewrapping.seconds.toFixed(1)} s (${goal} ${GOAL_SECONDS} s), ${rewrapping.cpu.toFixed(1)} s of processor`,
    );
    print(`     by the clock    ${each('seconds')}`);
    print(`     by processor    ${each('cpu')}`);
  } finally {
    await store.close();
  }
}

/** The baseline. */
async function byNodeJose(store: SiteStore, rows: readonly DataKeyRow[], what: Measured): Promise<void> {
  const [opening, sealing] = await Promise.all([
    importKey(what.former.privateJwk),
    importKey(what.other.publicJwk),
  ]);
  const { kid } = what.other.publicJwk;
  await inParallel(rows, async (row) => {
    guard(row.wrapped, 'mpe-dk');
    const payload = await decryptCompact(row.wrapped, opening, 'RSA-OAEP-256');
    const header = { alg: 'RSA-OAEP-256', enc: CONTENT_ENCRYPTION, typ: 'mpe-dk', kid } as const;
    const wrapped = await encryptCompact(header, sealing, payload);
    guard(wrapped, 'mpe-dk');
    await store.insertDataKey({ ...row, wrapped, certificateThumbprint: what.other.thumbprint });
  });
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

/** Seconds by the clock, which others on the machine make longer, and of processor, which they hardly do. */
interface Spent {
  readonly seconds: number;
  readonly cpu: number;
}

async function spent(work: () => Promise<void>): Promise<Spent> {
  const began = performance.now();
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - began) / 1000, cpu: (user + system) / 1e6 };
}
