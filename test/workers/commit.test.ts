import { describe, expect, it } from 'vitest';
import { MpeError } from '../../src/ops/errors.js';
import { createLogger } from '../../src/ops/log.js';
import { Metrics } from '../../src/ops/metrics.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { GroupCommitter, retryLabel } from '../../src/workers/commit.js';
import type { Prepared } from '../../src/workers/types.js';
import { candidate } from '../store/world.js';

describe('mpe_sql_retries_total', () => {
  it('counts each transaction that is done again, under the number of the server', async () => {
    const metrics = new Metrics('worker', { defaults: false });
    const deadlock = new MpeError('STORE_TRANSIENT', 'deadlock', { facts: { number: 1205 } });
    // The database is away for the whole call, so that nothing is planned.
    const store = { classify: () => Promise.reject(deadlock) } as unknown as SiteStore;
    const log = createLogger('worker', { logLevel: 'fatal' });
    const committer = new GroupCommitter({ store, log, metrics, groupMax: 8 });
    const result = await committer.commit(
      candidate({ client: 1, message: 1, sequence: 1 }),
      {} as Prepared,
      () => {
        throw new Error('no plan without facts');
      },
    );
    expect(result).toMatchObject({ kind: 'transient', error: { facts: { number: 1205 } } });
    expect((await metrics.scrape()).text).toContain('mpe_sql_retries_total{number="1205"} 6');
    metrics.close();
  });

  it('names a race, a number, a code of the driver, or none', () => {
    const transient = (facts: Record<string, string | number>): string =>
      retryLabel('transient', new MpeError('STORE_TRANSIENT', 'x', { facts }));
    expect(retryLabel('race', null)).toBe('race');
    expect(transient({ number: 1222, code: 'EREQUEST' })).toBe('1222');
    expect(transient({ code: 'SQLITE_BUSY' })).toBe('SQLITE_BUSY');
    expect(transient({})).toBe('none');
  });
});
