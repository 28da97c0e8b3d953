import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadFixtures } from '../../src/replay/load-fixtures.js';
import { Engine } from '../support/engine.js';
import { FIXTURES, mpe } from './support.js';

describe.each([
  ['now', {}],
  ['with every process five years ahead', { MPE_TEST_CLOCK_OFFSET: '+5y' }],
])('the recorded cases, %s,', (_when, settings) => {
  let engine: Engine;

  beforeAll(async () => {
    engine = Engine.at({ settings });
    await engine.initSite(['--fixture-keys', join(FIXTURES, 'keys')]);
    await engine.start();
  });
  afterAll(async () => engine.dispose());

  test('hold over HTTPS, queue and worker processes, and no secret is left anywhere', async () => {
    const args = ['replay', '--gateway', engine.url, '--store', '--scan', engine.logs, engine.redis.folder];
    const { status, stdout, stderr } = await mpe(args, engine.environment());
    expect(`${stdout}${stderr}`).not.toMatch(/✗|SECRET FOUND/);
    expect(status).toBe(0);
    const standard = loadFixtures(FIXTURES).filter(({ fixture }) => fixture.site === 'standard').length;
    expect(stdout).toContain(`${standard} cases  ${standard} ok`);

    // Without the database: cases with operator steps are skipped and said to be.
    const some = await mpe(
      ['replay', '--gateway', engine.url, '--again', '--only', 'r*'],
      engine.environment(),
    );
    expect(some.stdout).toMatch(/- rotation skipped: needs the site database \(--store\)/);
    expect(some.status).toBe(0);
  }, 420_000);
});
