import sql from 'mssql';
import { describe, expect, test } from 'vitest';
import { durability } from '../../src/store/mssql/durability.js';
import type { SqlRow } from '../../src/store/mssql/session.js';

/**
 * The report over rows as Microsoft documents them: the server at hand in tests knows neither
 * delayed durability nor availability groups.
 */
function reportOf(database: SqlRow | null, replicas: SqlRow[] | Error = []) {
  return durability({
    warnings: [],
    query: (text) => {
      if (text.includes('sys.databases')) return Promise.resolve([database === null ? [] : [database]]);
      return replicas instanceof Error ? Promise.reject(replicas) : Promise.resolve([replicas]);
    },
  });
}

const row = (Delayed: string | null, ReplicaId: string | null = null): SqlRow => ({
  DatabaseName: 'my]site',
  Delayed,
  ReplicaId,
});
const REPLICA = '8637036E-B379-4798-BD9E-5A0B36296DE3';

describe('durability of a SQL Server database', () => {
  test('DISABLED and ALLOWED are durable', async () => {
    expect(await reportOf(row('DISABLED'))).toEqual({
      durable: true,
      detail: 'delayed_durability=DISABLED',
      warnings: [],
    });
    expect(await reportOf(row('ALLOWED'))).toMatchObject({ durable: true, warnings: [] });
  });

  test('FORCED is not, and the statement that repairs it is told', async () => {
    const report = await reportOf(row('FORCED'));
    expect(report.durable).toBe(false);
    expect(report.detail).toContain('ALTER DATABASE [my]]site] SET DELAYED_DURABILITY = DISABLED;');
  });

  test('a server that does not tell is warned about', async () => {
    for (const unknown of [row(null), null]) {
      const report = await reportOf(unknown);
      expect(report).toMatchObject({ durable: true, detail: 'delayed_durability unknown' });
      expect(report.warnings).toHaveLength(1);
    }
  });

  test('replicas that commit asynchronously are named', async () => {
    const report = await reportOf(row('DISABLED', REPLICA), [{ Server: 'DR1' }]);
    expect(report.warnings?.[0]).toMatch(/^replica DR1 commits asynchronously/);
    expect((await reportOf(row('DISABLED', REPLICA))).warnings).toEqual([]);
  });

  test('replicas that the login may not see are told so', async () => {
    const refused = new sql.RequestError(
      Object.assign(new Error('x'), { info: { number: 300, message: 'x' } }),
      'EREQUEST',
    );
    const report = await reportOf(row('DISABLED', REPLICA), refused);
    expect(report.durable).toBe(true);
    expect(report.warnings?.[0]).toMatch(/not visible to this login/);
  });
});
