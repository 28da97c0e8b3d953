import { describeSqlServer, makeSqlServerDatabase } from '../support/sqlserver.js';
import { storeConformance } from './conformance.js';

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
