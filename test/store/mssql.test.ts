import { vi } from 'vitest';
import { describeSqlServer, makeSqlServerDatabase } from '../support/sqlserver.js';
import { storeConformance } from './conformance.js';

/** A store has new connections in each test, and a busy test server takes seconds over their first batches. */
vi.setConfig({ testTimeout: 180_000 });

describeSqlServer('site database on SQL Server', () => {
  storeConformance('SQL Server', async (options = {}) => {
    const database = await makeSqlServerDatabase(options);
    return {
      ...database,
      time: (ms) => `'${new Date(ms).toISOString().slice(0, -1)}'`,
      bytes: (hex) => `0x${hex}`,
    };
  });
});
