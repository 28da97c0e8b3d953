import { expect, test } from 'vitest';
import { readSqlServerUrl, type StoreSetting } from '../../src/config/index.js';
import { checkPoolSize } from '../../src/workers/start-checks.js';

function store(poolMax?: number): StoreSetting {
  const read = readSqlServerUrl('mssql://u:p@h/d');
  if ('problems' in read) throw new Error(read.problems.join());
  return { kind: 'mssql', target: read.target, ...(poolMax === undefined ? {} : { poolMax }) };
}

test('a pool smaller than the concurrency of a worker is refused, naming both settings', () => {
  expect(() => checkPoolSize(store(63), 64)).toThrow(/MPE_STORE_POOL_MAX is 63.*MPE_WORKER_CONCURRENCY.*64/);
  for (const fine of [store(64), store(), { kind: 'sqlite', path: 'x' } as const]) {
    expect(() => checkPoolSize(fine, 64)).not.toThrow();
  }
});
