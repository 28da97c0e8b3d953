// `npm run fuzz [-- --seconds 60] [--seed N] [--target gateway-http]`: see test/fuzz/fuzz.test.ts.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bold, Refusal, runMain } from './lib/terminal.mjs';
import { root, setUp } from './setup.mjs';

await runMain(() => {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string' },
      target: { type: 'string' },
    },
  });
  for (const name of ['seconds', 'seed'])
    if (values[name] !== undefined && !/^[1-9]\d{0,8}$/.test(values[name]))
      throw new Refusal(`--${name} takes a whole number from 1`);
  console.log(bold(`mpe fuzz · ${values.seconds} s over all targets`));
  setUp();
  const only = values.target === undefined ? [] : ['--testNamePattern', `${values.target}`];
  const { status } = spawnSync(
    process.execPath,
    [join(root, 'node_modules/vitest/vitest.mjs'), 'run', 'test/fuzz', ...only],
    {
      cwd: root,
      stdio: 'inherit',
      env: {
        ...process.env,
        FUZZ_SECONDS: values.seconds,
        ...(values.seed === undefined ? {} : { FUZZ_SEED: values.seed }),
      },
    },
  );
  return status ?? 1;
});
