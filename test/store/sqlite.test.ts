import { join } from 'node:path';
import Database from 'better-sqlite3';
import { openStore } from '../../src/store/open-store.js';
import { tempFolder } from '../support/temp.js';
import { storeConformance } from './conformance.js';

storeConformance('SQLite', () => {
  const location = { kind: 'sqlite', path: join(tempFolder('mpe-store-'), 'site.db') } as const;
  return Promise.resolve({
    location,
    open: (options = {}) => openStore(location, options),
    sql: (text) => {
      const db = new Database(location.path, { timeout: 2000 });
      try {
        db.pragma('foreign_keys = ON');
        const statement = db.prepare<[], Record<string, unknown>>(text);
        if (statement.reader) return Promise.resolve(statement.all());
        statement.run();
        return Promise.resolve([]);
      } catch (error) {
        return Promise.reject(error instanceof Error ? error : new Error(String(error)));
      } finally {
        db.close();
      }
    },
    time: String,
    bytes: (hex) => `X'${hex}'`,
  });
});
