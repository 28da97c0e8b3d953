import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../src/ops/clock.js';
import { copySite, type CopyOptions } from '../../../src/store/copy/copy-site.js';
import { openSource, openTarget } from '../../../src/store/copy/open-side.js';
import type { CopySource, CopyTarget } from '../../../src/store/copy/side.js';
import { COPY_TABLES } from '../../../src/store/copy/tables.js';
import { openStore } from '../../../src/store/open-store.js';
import { Connection } from '../../../src/store/sqlite/connection.js';
import { loadMigrations, migrate } from '../../../src/store/sqlite/migrate.js';
import { tempFolder } from '../../support/temp.js';
import { siteSeed, T0 } from '../world.js';
import { addClient, allRows, fillEveryTable } from './fill.js';

/** A source with rows in every table, and a place for the target. */
function site(): { from: string; to: string } {
  const folder = tempFolder('mpe-copy-');
  const from = join(folder, 'from.db');
  const connection = Connection.open(from, { readOnly: false });
  migrate(connection, loadMigrations(), T0);
  fillEveryTable(connection);
  connection.close();
  return { from, to: join(folder, 'to.db') };
}

const options = { onProgress: () => undefined, now: () => T0 };

async function sides(from: string, to: string): Promise<{ source: CopySource; target: CopyTarget }> {
  const source = await openSource({ kind: 'sqlite', path: from }, systemClock());
  const target = await openTarget({ kind: 'sqlite', path: to }, systemClock());
  onTestFinished(async () => {
    await source.close();
    await target.close();
  });
  return { source, target };
}

async function copy(from: string, to: string, more: Partial<CopyOptions> = {}): ReturnType<typeof copySite> {
  const { source, target } = await sides(from, to);
  return copySite(source, target, { ...options, ...more });
}

describe('a copy', () => {
  it('takes every row of every table, and lets the database be used only then', async () => {
    const { from, to } = site();
    await expect(copy(from, to)).resolves.toMatchObject({ wasFinished: false, resumed: false });
    for (const table of COPY_TABLES) {
      const rows = allRows(from, table);
      expect(rows.length, table.name).toBeGreaterThan(0);
      expect(allRows(to, table), table.name).toEqual(rows);
    }
    const store = await openStore({ kind: 'sqlite', path: to });
    await expect(store.readSite()).resolves.toMatchObject({ name: 'Contoso' });
    await store.close();
  });

  it('that is finished is left alone', async () => {
    const { from, to } = site();
    await copy(from, to);
    await expect(copy(from, to)).resolves.toMatchObject({ wasFinished: true });
    const store = await openStore({ kind: 'sqlite', path: from });
    await addClient(store, 70);
    await store.close();
    await expect(copy(from, to)).rejects.toMatchObject({
      code: 'COPY_REFUSED',
      message: expect.stringContaining('holds a finished copy'),
    });
  });

  it('that stops at any part leaves a database that is refused, and goes on', async () => {
    const { from, to } = site();
    const parts: string[] = [];
    await copy(from, join(tempFolder('mpe-copy-'), 'to.db'), {
      onPart: ({ table, where }) => parts.push(`${table.name} ${where}`),
    });
    for (const stop of parts) {
      const stopped = copy(from, to, {
        onPart: ({ table, where }) => {
          if (`${table.name} ${where}` === stop) throw new Error('stopped');
        },
      });
      await expect(stopped).rejects.toThrow('stopped');
      for (const readOnly of [false, true]) {
        await expect(openStore({ kind: 'sqlite', path: to }, { readOnly })).rejects.toMatchObject({
          code: 'COPY_UNFINISHED',
        });
      }
      await expect(openSource({ kind: 'sqlite', path: to }, systemClock())).rejects.toMatchObject({
        code: 'COPY_UNFINISHED',
      });
    }
    await expect(copy(from, to)).resolves.toMatchObject({ resumed: true });
    for (const table of COPY_TABLES) expect(allRows(to, table), table.name).toEqual(allRows(from, table));
  });

  it('refuses a target that is a site, or that something else wrote into', async () => {
    const { from, to } = site();
    await expect(copy(from, site().from)).rejects.toMatchObject({
      code: 'COPY_REFUSED',
      message: expect.stringContaining('not empty (MPE_Site has rows)'),
    });
    const tampered = copy(from, to, {
      onPart: ({ table }) => {
        if (table.name !== 'MPE_ManagementPoints') return;
        const connection = Connection.open(to, { readOnly: false });
        connection.run("UPDATE MPE_Clients SET MachineName = 'other' WHERE MachineName = 'PC'");
        connection.close();
      },
    });
    await expect(tampered).rejects.toMatchObject({
      code: 'COPY_REFUSED',
      message: expect.stringContaining('MPE_Clients: other values'),
    });
    await expect(openStore({ kind: 'sqlite', path: to })).rejects.toMatchObject({ code: 'COPY_UNFINISHED' });
  });

  it.each(['MPE_Clients', 'MPE_ClientKeys', 'MPE_ManagementPoints'])(
    'notices a source that is written to while %s is copied',
    async (name) => {
      const { from, to } = site();
      const { source, target } = await sides(from, to);
      const store = await openStore({ kind: 'sqlite', path: from });
      let late: Promise<void> | null = null;
      const read = target.count.bind(target);
      target.count = async (part) => {
        if (part.table.name === name && (await target.readRecord()) !== null)
          await (late ??= addClient(store, 71));
        return read(part);
      };
      await expect(copySite(source, target, options)).rejects.toMatchObject({
        code: 'COPY_REFUSED',
        message: expect.stringMatching(/the source changed.*stop every gateway, worker and recovery service/),
      });
      await store.close();
      await expect(copy(from, to)).rejects.toMatchObject({ code: 'COPY_REFUSED' });
      await expect(openStore({ kind: 'sqlite', path: to })).rejects.toMatchObject({
        code: 'COPY_UNFINISHED',
      });
    },
  );

  it('refuses a source with columns that it does not know', async () => {
    const { from, to } = site();
    const connection = Connection.open(from, { readOnly: false });
    connection.db.exec('ALTER TABLE MPE_Clients ADD COLUMN Colour TEXT');
    connection.close();
    await expect(copy(from, to)).rejects.toMatchObject({
      code: 'SCHEMA_MISMATCH',
      message: expect.stringContaining('mpe_clients.colour'),
    });
  });

  it('asks for the migration of a source that is of an older release, and does not do it', async () => {
    const folder = tempFolder('mpe-copy-');
    const from = join(folder, 'from.db');
    const connection = Connection.open(from, { readOnly: false });
    migrate(connection, loadMigrations().slice(0, 1), T0);
    connection.run(
      `INSERT INTO MPE_Site (Id, SiteGuid, Name, RootThumbprint, TestSite, SiteVersion, CreatedAt)
       VALUES (1, ?, 'Old', 'root', 0, '2403', ?)`,
      siteSeed().site.siteGuid,
      T0,
    );
    connection.close();
    const { source, target } = await sides(from, join(folder, 'to.db'));
    const schema = source.schema.bind(source);
    // As if a later migration had brought a column of the clients.
    source.schema = async () =>
      new Map(
        [...(await schema())].map(([name, columns]) => [name, columns.filter((one) => one !== 'epoch')]),
      );
    await expect(copySite(source, target, options)).rejects.toMatchObject({
      code: 'SCHEMA_MISMATCH',
      message: expect.stringContaining('mpe migrate'),
    });
    const after = Connection.open(from, { readOnly: true });
    expect(after.all('SELECT Number FROM MPE_Migrations')).toHaveLength(1);
    after.close();
  });
});
