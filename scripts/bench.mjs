// `npm run bench [-- --messages 2000]`: see bench/throughput.ts.
import { parseArgs } from 'node:util';
import { importTypeScript } from './lib/run-typescript.mjs';
import { bold, Refusal, runMain } from './lib/terminal.mjs';
import { setUp } from './setup.mjs';

await runMain(async () => {
  const { values } = parseArgs({ options: { messages: { type: 'string', default: '2000' } } });
  const messages = Number(values.messages);
  if (!Number.isInteger(messages) || messages < 1) throw new Refusal('--messages takes a whole number');
  console.log(bold(`mpe bench · ${messages} messages, everything on this machine`));
  setUp();
  const { runBench } = await importTypeScript('bench/throughput.ts');
  await runBench({ messages, print: console.log });
  return 0;
});
