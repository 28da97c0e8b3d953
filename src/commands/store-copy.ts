import { type Command } from 'commander';
import { loadConfig, sqlServerName, type Environment, type StoreSetting } from '../config/index.js';
import { systemClock } from '../ops/clock.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import { copySite, type CopyResult } from '../store/copy/copy-site.js';
import { openSource, openTarget } from '../store/copy/open-side.js';
import { rowsOf } from '../store/copy/record.js';
import { rowProgress } from './copy-progress.js';
import { group } from './group.js';
import { print, warn } from './output.js';

interface Options {
  readonly from?: string;
  readonly to?: string;
  readonly fromUrlFile?: string;
  readonly toUrlFile?: string;
  readonly fromPasswordFile?: string;
  readonly toPasswordFile?: string;
}

/** `mpe store copy`: moves a site into another database. */
export function register(program: Command): void {
  group(program, 'store', 'The site database')
    .command('copy')
    .description('copy a whole site into an empty database of either kind, and compare every row')
    .option('--from <url>', 'the site database that is read, as MPE_STORE_URL')
    .option('--to <url>', 'the empty database that is written, as MPE_STORE_URL')
    .option('--from-url-file <file>', 'a file that holds the URL of --from')
    .option('--to-url-file <file>', 'a file that holds the URL of --to')
    .option('--from-password-file <file>', 'a file that holds the password for --from')
    .option('--to-password-file <file>', 'a file that holds the password for --to')
    .addHelpText(
      'after',
      '\nStop every gateway, worker and recovery service first. A copy that was cut short goes on where it stopped when the' +
        '\nsame command runs again. The source is never written; the key folder is not part of it.' +
        '\nA password in a URL on the command line is seen by everybody on this host: use the files.',
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const from = location('from', options.from, options.fromUrlFile, options.fromPasswordFile);
  const to = location('to', options.to, options.toUrlFile, options.toPasswordFile);
  if (isSame(from, to)) throw new MpeError('USAGE', '--from and --to are the same database');
  const clock = systemClock();
  const progress = rowProgress();
  const source = await openSource(from, clock);
  try {
    const site = await source.store.readSite();
    const target = await openTarget(to, clock);
    try {
      warn(`copying the site ${site === null ? '' : `"${site.name}" `}from ${nameOf(from)} to ${nameOf(to)}`);
      const result = await copySite(source, target, {
        onProgress: (phase, rows, total) => progress.show(phase, rows, total),
        now: () => clock.now(),
      });
      progress.stop();
      report(result, to);
    } finally {
      await target.close();
    }
  } finally {
    progress.stop();
    await source.close();
  }
}

function report({ state, wasFinished, resumed }: CopyResult, to: StoreSetting): void {
  if (wasFinished) {
    print('This copy was finished before, and the source has not changed since: nothing was done.');
  } else {
    const filled = Object.values(state.tables).filter(({ rows }) => rows > 0).length;
    print(
      `${rowsOf(state)} rows of ${filled} tables are in the target and equal to the source${resumed ? ' (an earlier run had begun it)' : ''}.`,
    );
  }
  print(
    `site ${state.siteGuid}`,
    `site hash ${state.siteHash}`,
    '',
    'What to do now:',
    `  1. On every gateway, worker and recovery host, set MPE_STORE_URL to the new database: ${nameOf(to)}`,
    '  2. Leave the key folder as it is: it belongs to the site, not to the database.',
    '  3. With the new MPE_STORE_URL run "mpe secrets verify": every stored key must open.',
    '  4. Start gateways, workers and the recovery service. Keep the old database, switched off, until you trust the',
    '     new one: a key that is shown from it would be rotated by nobody.',
  );
}

/** Reads one side's URL by the rules of MPE_STORE_URL; errors name the option and no value. */
function location(
  side: 'from' | 'to',
  url: string | undefined,
  urlFile: string | undefined,
  passwordFile: string | undefined,
): StoreSetting {
  if (url === undefined && urlFile === undefined)
    throw new MpeError(
      'USAGE',
      `--${side} is missing: a URL as in MPE_STORE_URL, e.g. sqlite:/var/lib/mpe/site.db`,
    );
  const env: Environment = {
    MPE_STORE_URL: url,
    MPE_STORE_URL_FILE: urlFile,
    MPE_STORE_PASSWORD_FILE: passwordFile,
  };
  try {
    return loadConfig(env).store;
  } catch (error) {
    if (!isMpeError(error, 'CONFIG_INVALID')) throw error;
    const problems = error.message
      .split('\n')
      .slice(1)
      .map((line) =>
        line
          .trim()
          .replaceAll('MPE_STORE_URL_FILE', `--${side}-url-file`)
          .replaceAll('MPE_STORE_PASSWORD_FILE', `--${side}-password-file`)
          .replaceAll('MPE_STORE_URL', `--${side}`),
      );
    throw new MpeError('USAGE', problems.join('\n'));
  }
}

function isSame(a: StoreSetting, b: StoreSetting): boolean {
  return nameOf(a) === nameOf(b);
}

/** A database as people know it, without user and password. */
function nameOf(store: StoreSetting): string {
  if (store.kind === 'sqlite') return `sqlite:${store.path}`;
  return sqlServerName(store.target);
}
