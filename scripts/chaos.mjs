// `npm run chaos -- --seeds 10 --messages 2000 [--first-seed 1] [--store mssql://…]`: see test/chaos/campaign.ts.
// Without `--store` it is the SQL Server of MPE_TEST_SQLSERVER_URL where that is set, so that no password
// stands in the command line, else SQLite (`--store sqlite`).
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
      store: { type: 'string' },
    },
  });
  const [seeds, messages, firstSeed] = [values.seeds, values.messages, values['first-seed']].map(Number);
  if (![seeds, messages, firstSeed].every((n) => Number.isInteger(n) && n >= 0) || seeds < 1 || messages < 1)
    throw new Refusal('--seeds, --messages and --first-seed take whole numbers');
  const store = values.store || process.env.MPE_TEST_SQLSERVER_URL || 'sqlite';
  if (store !== 'sqlite' && !store.startsWith('mssql://'))
    throw new Refusal('--store takes sqlite, or mssql://user:password@host:port/master');
  const serverUrl = store === 'sqlite' ? undefined : store;
  const name = serverUrl === undefined ? 'SQLite' : `SQL Server at ${new URL(serverUrl).host}`;
  console.log(bold(`mpe chaos · ${seeds} seeds × ${messages} messages · ${name}`));
  setUp();
  const { runCampaign } = await importTypeScript('test/chaos/campaign.ts');
  return (await runCampaign({ seeds, messages, firstSeed, serverUrl, print: console.log })) ? 0 : 1;
});
