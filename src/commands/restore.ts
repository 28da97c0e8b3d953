import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { loadConfig, type Config } from '../config/index.js';
import { openBackup, readBackupHeader } from '../secrets/backup/format.js';
import { restoreKeys } from '../secrets/backup/restore.js';
import { fitOfKeys, type Fit } from '../site/key-fit.js';
import { readBackupFile } from './backup.js';
import { keyParts, ROLES_OPTION } from './key-parts.js';
import { print, printJson } from './output.js';
import { PASSWORD_OPTION, readPassword } from './password.js';
import { withStore } from './with-store.js';

interface Options {
  readonly into?: string;
  readonly passwordFile?: string;
  readonly roles?: readonly string[];
  readonly json: boolean;
}

/** `mpe restore FILE`: the key folder from a backup. */
export function register(program: Command): void {
  program
    .command('restore')
    .description('write the keys of a backup into the key folder, which must be empty, and try them')
    .argument('<file>', 'made by "mpe backup"')
    .option('--into <folder>', 'another folder than MPE_KEYS_DIR')
    .option(...PASSWORD_OPTION)
    .option(ROLES_OPTION, 'only these parts: root, ca, gateway, worker, recovery; what this host needs')
    .option('--json', 'print the result as JSON', false)
    .addHelpText(
      'after',
      '\nStopped in the middle, run the same again. Exit status 1 also where the keys were restored and do not ' +
        'fit the database.',
    )
    .action(run);
}

async function run(name: string, options: Options): Promise<void> {
  const config = loadConfig();
  const parts = keyParts(options.roles);
  const folder = resolve(options.into ?? config.keysDir);
  const bytes = readBackupFile(resolve(name));
  // Damage is told before anybody types a password.
  readBackupHeader(bytes);
  const backup = await openBackup(bytes, await readPassword(options));
  const restored = restoreKeys(backup, folder, parts);
  const fits = await compare(config, folder);
  if (fits.some(({ state }) => state === 'differs')) process.exitCode = 1;
  if (options.json) {
    printJson({
      folder,
      siteGuid: backup.header.siteGuid,
      createdAt: backup.header.createdAt,
      ...restored,
      fits,
    });
    return;
  }
  const { written, kept } = restored;
  print(
    `${folder}: ${written + kept} files of the backup made ${backup.header.createdAt} are in place ` +
      `(${written} written, ${kept} were there), each equal to its digest.`,
    ...fits.map(({ what, state, text }) => `  ${state.padEnd(12)}  ${what}: ${text}`),
    verdict(fits),
  );
}

async function compare(config: Config, folder: string): Promise<readonly Fit[]> {
  const skipped = (text: string): Fit[] => [{ what: 'site', state: 'not compared', text }];
  // Opening it would make the file.
  if (config.store.kind === 'sqlite' && !existsSync(config.store.path))
    return skipped(`there is no database at ${config.store.path}`);
  try {
    return await withStore(config, (store) => fitOfKeys(store, folder), { readOnly: true });
  } catch (error) {
    return skipped(error instanceof Error ? error.message : 'the database cannot be read');
  }
}

function verdict(fits: readonly Fit[]): string {
  if (fits.some(({ state }) => state === 'differs'))
    return 'These keys do NOT fit the database: bring the database and the backup of one time together.';
  if (fits.some(({ state }) => state === 'not compared'))
    return 'The database was not compared: once it is reachable, run "mpe doctor".';
  return 'Keys and database fit. "mpe secrets verify" opens every stored secret.';
}
