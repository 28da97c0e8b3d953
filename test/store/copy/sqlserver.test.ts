import { expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../src/ops/clock.js';
import { copySite } from '../../../src/store/copy/copy-site.js';
import { openSource, openTarget } from '../../../src/store/copy/open-side.js';
import { copiedSchema, COPY_TABLES, isLeftOut } from '../../../src/store/copy/tables.js';
import { openStore, type StoreLocation } from '../../../src/store/open-store.js';
import { Connection } from '../../../src/store/sqlite/connection.js';
import { loadMigrations, migrate } from '../../../src/store/sqlite/migrate.js';
import { describeSqlServer } from '../../support/sqlserver.js';
import { T0 } from '../world.js';
import { newMssql, newSqlite } from './databases.js';
import { allRows, fillEveryTable, fillMany, sorted } from './fill.js';

async function copy(
  from: StoreLocation,
  to: StoreLocation,
  onPart: (name: string) => void = () => undefined,
): ReturnType<typeof copySite> {
  const source = await openSource(from, systemClock());
  try {
    const target = await openTarget(to, systemClock());
    try {
      return await copySite(source, target, {
        onProgress: () => undefined,
        onPart: ({ table, where }) => onPart(`${table.name} ${where}`),
        now: () => T0,
      });
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

function filled(many = 0): { readonly kind: 'sqlite'; readonly path: string } {
  const location = newSqlite();
  const connection = Connection.open(location.path, { readOnly: false });
  migrate(connection, loadMigrations(), T0);
  fillEveryTable(connection);
  if (many > 0) fillMany(connection, many);
  connection.close();
  return location;
}

describeSqlServer('a copy with SQL Server', () => {
  it('knows every column of its schema', async () => {
    const target = await openTarget((await newMssql()).location, systemClock());
    onTestFinished(() => target.close());
    const real = [...(await target.schema())].filter(([name]) => !isLeftOut(name));
    expect(sorted(copiedSchema('mssql'))).toEqual(sorted(real));
  });

  it('goes there and back without losing a value', async () => {
    const [from, there, back] = [filled(3000), (await newMssql()).location, newSqlite()];
    await copy(from, there);
    await copy(there, back);
    for (const table of COPY_TABLES)
      expect(allRows(back.path, table), table.name).toEqual(allRows(from.path, table));
  }, 180_000);

  it('goes from one SQL Server database to another, and is finished once', async () => {
    const [from, a, b] = [filled(), (await newMssql()).location, (await newMssql()).location];
    await copy(from, a);
    await copy(a, b);
    await expect(copy(a, b)).resolves.toMatchObject({ wasFinished: true });
    await expect(copy(from, a)).resolves.toMatchObject({ wasFinished: true });
    await expect(copy(filled(10), a)).rejects.toMatchObject({ code: 'COPY_REFUSED' });
  }, 180_000);

  it('that stops at any part leaves a database that is refused, and goes on', async () => {
    const [from, to, back] = [filled(), (await newMssql()).location, newSqlite()];
    const parts: string[] = [];
    await copy(from, newSqlite(), (name) => parts.push(name));
    for (const stop of parts.filter((_, i) => i % 4 === 0)) {
      const stopped = copy(from, to, (name) => {
        if (name === stop) throw new Error('stopped');
      });
      await expect(stopped).rejects.toThrow('stopped');
      await expect(openSource(to, systemClock())).rejects.toMatchObject({ code: 'COPY_UNFINISHED' });
      await expect(openStore(to)).rejects.toMatchObject({ code: 'COPY_UNFINISHED' });
    }
    await expect(copy(from, to)).resolves.toMatchObject({ resumed: true });
    await copy(to, back);
    for (const table of COPY_TABLES)
      expect(allRows(back.path, table), table.name).toEqual(allRows(from.path, table));
  }, 180_000);
});
