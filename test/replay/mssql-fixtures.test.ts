import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/ops/clock.js';
import { materialOf, readyCases } from '../../src/replay/fixture-folder.js';
import { replayInProcess, type InProcessResult } from '../../src/replay/in-process.js';
import { loadFixtures } from '../../src/replay/load-fixtures.js';
import { SecretScanner } from '../../src/replay/scan.js';
import type { ReplayStores } from '../../src/replay/site-place.js';
import { SITE_VARIANTS } from '../../src/replay/site-variants.js';
import { Engine } from '../support/engine.js';
import { SiteDatabase, serverLocation } from '../support/site-database.js';
import { describeSqlServer, sqlServerUrl } from '../support/sqlserver.js';
import { FIXTURES, mpe } from './support.js';

const loaded = loadFixtures(FIXTURES);
const material = materialOf(FIXTURES);
const cases = readyCases(FIXTURES, loaded, material);

describeSqlServer('the recorded cases on SQL Server', () => {
  const url = sqlServerUrl() ?? '';

  const replay = (stores: ReplayStores): Promise<InProcessResult & { scanner: SecretScanner }> => {
    const scanner = new SecretScanner(loaded.map(({ fixture }) => fixture));
    const options = { cases, material, stores, scanner, clock: systemClock(), onProgress: () => undefined };
    return replayInProcess({ ...options, order: 'source', seed: 1, times: 2 }).then((result) => ({
      ...result,
      scanner,
    }));
  };

  test('all pass, twice, and every site has the hash that it has on SQLite', async () => {
    const onServer = await replay({ kind: 'mssql', server: serverLocation(url) });
    const failed = onServer.sets.flatMap((set) => set.cases.filter(({ status }) => status === 'failed'));
    expect(failed).toEqual([]);
    expect(onServer.faults).toEqual([]);
    expect(onServer.scanner.findings).toEqual([]);
    // Rows were looked at, not only replies and logs.
    expect(onServer.scanner.scanned).toBeGreaterThan(1_000_000);

    const onSqlite = await replay({ kind: 'sqlite', folder: null });
    const hashes = ({ sets }: InProcessResult): string[] =>
      sets.map((set) => `${set.site} ${set.siteHash ?? ''}`);
    expect(hashes(onServer)).toEqual(hashes(onSqlite));
    expect(new Set(onServer.sets.map((set) => set.site))).toEqual(new Set(SITE_VARIANTS));
  }, 1_800_000);
});

describeSqlServer('the recorded cases over HTTPS, queue and worker processes, with SQL Server,', () => {
  let database: SiteDatabase;
  let engine: Engine;

  beforeAll(async () => {
    database = await SiteDatabase.create(sqlServerUrl() ?? '');
    engine = Engine.at({ storeUrl: database.url });
    await engine.initSite(['--fixture-keys', join(FIXTURES, 'keys')]);
    await engine.start();
  }, 120_000);
  afterAll(async () => {
    await engine.dispose();
    await database.drop();
  });

  test('hold, and no secret is left anywhere', async () => {
    const args = ['replay', '--gateway', engine.url, '--store', '--scan', engine.logs, engine.redis.folder];
    const { status, stdout, stderr } = await mpe(args, engine.environment());
    expect(`${stdout}${stderr}`).not.toMatch(/✗|SECRET FOUND/);
    expect(status).toBe(0);
    const standard = loaded.filter(({ fixture }) => fixture.site === 'standard').length;
    expect(stdout).toContain(`${standard} cases  ${standard} ok`);
  }, 900_000);
});
