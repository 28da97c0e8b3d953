// `npm run bench [-- --messages 2000]`: see bench/throughput.ts.
// `npm run bench -- lookup [--keys 2000000]`: see bench/lookup.ts.
// `npm run bench -- coverage [--machines 40000]`: see bench/coverage.ts.
// `npm run bench -- rewrap [--secrets 1000000] [--data-keys 2920]`: see bench/rewrap.ts.
import { parseArgs } from 'node:util';
import { importTypeScript } from './lib/run-typescript.mjs';
import { bold, Refusal, runMain } from './lib/terminal.mjs';
import { setUp } from './setup.mjs';

await runMain(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      messages: { type: 'string', default: '2000' },
      keys: { type: 'string', default: '2000000' },
      machines: { type: 'string', default: '40000' },
      secrets: { type: 'string', default: '1000000' },
      'data-keys': { type: 'string' },
    },
  });
  const [what = 'throughput', ...more] = positionals;
  if (more.length > 0 || !['throughput', 'lookup', 'coverage', 'rewrap'].includes(what))
    throw new Refusal('the benches are "throughput" (without a name), "lookup", "coverage" and "rewrap"');
  if (what === 'rewrap') return rewrap(Number(values.secrets), values['data-keys']);
  if (what === 'coverage') return coverage(Number(values.machines));
  return what === 'lookup' ? lookup(Number(values.keys)) : throughput(Number(values.messages));
});

async function throughput(messages) {
  if (!Number.isInteger(messages) || messages < 1) throw new Refusal('--messages takes a whole number');
  console.log(bold(`mpe bench · ${messages} messages, everything on this machine`));
  setUp();
  const { runBench } = await importTypeScript('bench/throughput.ts');
  await runBench({ messages, print: console.log });
  return 0;
}

async function lookup(keys) {
  if (!Number.isInteger(keys) || keys < 2000 || keys % 1000 !== 0)
    throw new Refusal('--keys takes thousands, 2000 at least');
  console.log(bold(`mpe bench · a key by its first eight digits, among ${keys} and among 2000`));
  setUp();
  const { runLookup } = await importTypeScript('bench/lookup.ts');
  await runLookup({ keys, print: console.log });
  return 0;
}

async function coverage(machines) {
  if (!Number.isInteger(machines) || machines < 400 || machines > 50_000 || machines % 400 !== 0)
    throw new Refusal('--machines takes multiples of 400, 50000 at most');
  console.log(bold(`mpe bench · reports and lists of a site of ${machines} machines, and of one of 400`));
  setUp();
  const { runCoverage } = await importTypeScript('bench/coverage.ts');
  await runCoverage({ machines, print: console.log });
  return 0;
}

async function rewrap(secrets, dataKeys) {
  const count = dataKeys === undefined ? undefined : Number(dataKeys);
  if (!Number.isInteger(secrets) || secrets < 2000 || secrets % 1000 !== 0)
    throw new Refusal('--secrets takes thousands, 2000 at least');
  if (count !== undefined && (!Number.isInteger(count) || count < 1))
    throw new Refusal('--data-keys takes a whole number');
  console.log(bold(`mpe bench · a change of certificate with ${secrets} stored secrets`));
  setUp();
  const { runRewrap } = await importTypeScript('bench/rewrap.ts');
  await runRewrap({ secrets, dataKeys: count, print: console.log });
  return 0;
}
