import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../support/engine-process.js';
import { describeSqlServer, makeSqlServerDatabase, type SqlServerDatabase } from '../support/sqlserver.js';
import { escrow, send } from './conformance/commits.js';
import { PUBLIC_QUERIES } from './public-queries.js';
import { DATA_KEY, id, register, siteSeed, T0 } from './world.js';

describe('the page of queries', () => {
  it.each(Object.entries(PUBLIC_QUERIES))('lists the query %s as it is tested', (_, sql) => {
    expect(readFileSync(join(ROOT, 'docs', 'sqlserver-queries.md'), 'utf8')).toContain(sql);
  });
});

describeSqlServer('queries that administrators have', () => {
  /** Two machines, a moved disk with another password, a removable volume, one key that was shown. */
  async function filled(): Promise<SqlServerDatabase> {
    const database = await makeSqlServerDatabase();
    const store = await database.open();
    await store.createSite(siteSeed());
    await store.insertDataKey(DATA_KEY);
    await register(store, 1, 2);
    const put = (
      n: number,
      client: number,
      volume: number,
      password: string,
      type: 'OS' | 'REMOVABLE',
      at: number,
    ) =>
      send(
        store,
        [escrow(n, { client, volumes: [{ volume, type, protectors: [{ key: volume, password }] }] })],
        { atMs: T0 + at, dataKeyId: DATA_KEY.dataKeyId },
      );
    await put(1, 1, 1, 'one', 'OS', 0);
    await put(2, 1, 2, 'two', 'REMOVABLE', 1000);
    await put(3, 2, 1, 'one, changed', 'OS', 2000);
    await database.sql(
      `INSERT INTO dbo.MPE_Exposures (ExposureId, KeyId, VolumeId, ExposedAt, Cause)
       VALUES ('${id('misc', 60)}', '${id('key', 2)}', '${id('volume', 2)}', '2026-10-25T01:00:00', 'test');`,
    );
    return database;
  }

  it('find what the store committed', async () => {
    const database = await filled();
    const ask = (name: keyof typeof PUBLIC_QUERIES) => database.sql(PUBLIC_QUERIES[name]);
    const machine = await ask('machine');
    expect(machine.map((row) => [row['TypeName'], row['RecoveryKeyId'], row['LastUpdateTime']])).toEqual([
      ['Operating System Drive', id('key', 1), '2026-10-25 00:30:02.000'],
      ['Removable Data Drive', id('key', 2), '2026-10-25 00:30:01.000'],
      ['Operating System Drive', id('key', 1), '2026-10-25 00:30:00.000'],
    ]);
    expect(await ask('newest')).toEqual([
      { RecoveryKeyId: id('key', 1), LastUpdateTime: '2026-10-25 00:30:02.000' },
      { RecoveryKeyId: id('key', 2), LastUpdateTime: '2026-10-25 00:30:01.000' },
    ]);
    expect((await ask('prefix')).map((row) => row['RecoveryKeyId'])).toEqual([
      id('key', 1),
      id('key', 1),
      id('key', 2),
    ]);
    expect((await ask('disclosed')).map((row) => row['RecoveryKeyId'])).toEqual([id('key', 2)]);
    expect(await ask('types')).toEqual([
      { TypeName: 'Operating System Drive', Volumes: 1 },
      { TypeName: 'Removable Data Drive', Volumes: 1 },
    ]);
  }, 120_000);
});
