// `npm run chaos -- --seeds 10 --messages 2000 [--first-seed 1]`: see test/chaos/campaign.ts.
import { parseArgs } from 'node:util';
import { importTypeScript } from './lib/run-typescript.mjs';
import { bold, Refusal, runMain } from './lib/terminal.mjs';
import { setUp } from './setup.mjs';

await runMain(async () => {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '10' },
      messages: { type: 'string', default: '2000' },
      'first-seed': { type: 'string', default: '1' },
    },
  });
  const [seeds, messages, firstSeed] = [values.seeds, values.messages, values['first-seed']].map(Number);
  if (![seeds, messages, firstSeed].every((n) => Number.isInteger(n) && n >= 0) || seeds < 1 || messages < 1)
    throw new Refusal('--seeds, --messages and --first-seed take whole numbers');
  console.log(bold(`mpe chaos · ${seeds} seeds × ${messages} messages`));
  setUp();
  const { runCampaign } = await importTypeScript('test/chaos/campaign.ts');
  return (await runCampaign({ seeds, messages, firstSeed, print: console.log })) ? 0 : 1;
});
