// `npm run demo [-- --keep] [-- --seed 3]`: everything at work in under a minute, on a private engine.
import { parseArgs } from 'node:util';
import { importTypeScript } from './lib/run-typescript.mjs';
import { bold, fancy, Refusal, runMain } from './lib/terminal.mjs';
import { setUp } from './setup.mjs';

await runMain(async () => {
  const { values } = parseArgs({
    options: { keep: { type: 'boolean', default: false }, seed: { type: 'string', default: '1' } },
  });
  const seed = Number(values.seed);
  if (!Number.isInteger(seed) || seed < 0) throw new Refusal('--seed takes a whole number');
  console.log(`${bold('mpe demo')} · everything below is real, measured now, and private to one folder`);
  console.log(` ${bold('1/5 set up')}`);
  setUp();
  const { runDemo } = await importTypeScript('scripts/demo/demo.ts');
  return (await runDemo({ keep: values.keep, fancy, seed })) ? 0 : 1;
});
