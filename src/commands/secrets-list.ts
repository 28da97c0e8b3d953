import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { inventoryOf, isFault } from '../secrets/inventory.js';
import { secretSettings } from '../secrets/secret-settings.js';
import { group } from './group.js';
import { print, printJson, table } from './output.js';

/** `mpe secrets list`: every key and secret file, never its content. */
export function register(program: Command): void {
  group(program, 'secrets', 'Stored secrets; none of these commands shows one')
    .command('list')
    .description('list every key and secret file: mode, who needs it, whether a backup holds it; no content')
    .option('--json', 'print it as JSON', false)
    .action(list);
}

function list(options: { readonly json: boolean }): void {
  const { keysDir } = loadConfig();
  if (!existsSync(keysDir))
    throw new MpeError('KEY_FOLDER_INVALID', `key folder ${keysDir}: does not exist. Check MPE_KEYS_DIR`);
  const files = inventoryOf(keysDir);
  const settings = secretSettings(process.env);
  const faults = [
    ...files.filter(({ state }) => isFault(state)),
    ...settings.filter(({ state }) => state !== 'ok' && state !== 'in the environment'),
  ].length;
  if (faults > 0) process.exitCode = 1;
  if (options.json) {
    printJson({ ok: faults === 0, keysDir, files, settings, inDatabase: IN_DATABASE });
    return;
  }
  const owner = (id: number | null): string => (id === null ? '-' : String(id));
  print(
    `Key folder ${keysDir}`,
    '',
    ...table(
      ['file', 'state', 'mode', 'owner', 'kind', 'in backup', 'needed by', 'what it is'],
      files.map((file) => [
        file.path,
        file.state,
        file.mode ?? '-',
        owner(file.owner),
        file.secret ? 'secret' : 'public',
        file.path.endsWith('/') ? '-' : file.inBackup ? 'yes' : 'no',
        file.neededBy,
        file.what,
      ]),
    ),
    '',
    ...(settings.length === 0
      ? ['No setting of this environment holds or names a secret.']
      : table(
          ['setting', 'state', 'mode', 'owner', 'in backup', 'file'],
          settings.map((one) => [
            one.name,
            one.state,
            one.mode ?? '-',
            owner(one.owner),
            'no',
            one.file ?? '-',
          ]),
        )),
    '',
    `In the database and its backup, not here: ${IN_DATABASE.join('; ')}.`,
    ...(faults === 0 ? [] : ['', `${faults} of these need a look: "mpe doctor" says what to do.`]),
  );
}

/** What is no file. */
const IN_DATABASE = [
  'sealing keys and fingerprint key, wrapped under the worker secret',
  'retired sealing keys and data keys, wrapped to the certificate',
  'recovery keys, under data keys',
  'hashes of enrolment tokens',
] as const;
