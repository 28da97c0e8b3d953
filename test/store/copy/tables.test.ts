import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { COPY_PARTS } from '../../../src/store/copy/parts.js';
import { copiedSchema, COPY_TABLES, isLeftOut } from '../../../src/store/copy/tables.js';
import { Connection } from '../../../src/store/sqlite/connection.js';
import { tablesOf } from '../../../src/store/sqlite/copy-rows.js';
import { loadMigrations, migrate } from '../../../src/store/sqlite/migrate.js';
import { tempFolder } from '../../support/temp.js';
import { T0 } from '../world.js';
import { sorted } from './fill.js';

const connection = Connection.open(join(tempFolder('mpe-copy-'), 'site.db'), { readOnly: false });
migrate(connection, loadMigrations(), T0);

describe('the tables that a copy takes', () => {
  it('are those of the SQLite schema, with every column', () => {
    const real = [...tablesOf(connection)].filter(([name]) => !isLeftOut(name));
    expect(sorted(copiedSchema('sqlite'))).toEqual(sorted(real));
  });

  it('are known by a key of the schema', () => {
    for (const table of COPY_TABLES) {
      if (table.key.sqlite.length === 0) continue;
      const keys = connection
        .all(
          `SELECT group_concat(name) AS Names FROM (
             SELECT l.name AS i, x.name FROM pragma_index_list('${table.name}') l JOIN pragma_index_info(l.name) x
             WHERE l."unique" = 1 ORDER BY l.name, x.seqno) GROUP BY i
           UNION ALL SELECT name FROM pragma_table_info('${table.name}') WHERE pk = 1 AND type = 'INTEGER'`,
        )
        .map((row) => row['Names']);
      expect(keys, table.name).toContain(table.key.sqlite.join(','));
    }
  });

  it('come after the tables that they refer to', () => {
    // Secrets come twice; what is sealed under a data key is the second part.
    const places = new Map(COPY_PARTS.map((part, i) => [part.table.name, i]));
    for (const { name } of COPY_TABLES) {
      for (const row of connection.all(`SELECT "table" AS Parent FROM pragma_foreign_key_list('${name}')`)) {
        expect(places.get(String(row['Parent'])), `${name} → ${String(row['Parent'])}`).toBeLessThan(
          places.get(name)!,
        );
      }
    }
  });
});
