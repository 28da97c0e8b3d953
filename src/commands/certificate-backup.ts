import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { readPemPairs, writeBackup } from '../secrets/certificate-pem.js';
import { readCertificateKeys } from '../secrets/held-certificates.js';
import { KEY_FILES, readKeyFile } from '../secrets/key-files.js';
import { openKeyFolder } from '../secrets/key-folder.js';
import { writeWholeFile } from '../secrets/backup/whole-file.js';
import { assertBackupPlace } from './backup.js';
import { group } from './group.js';
import { print } from './output.js';
import { PASSWORD_OPTION, readPassword } from './password.js';

const MIN_PASSWORD = 12;

/** `mpe certificate backup`: every certificate of the key folder with its key, under a password. */
export function register(program: Command): void {
  group(program, 'certificate', '')
    .command('backup')
    .description('write every certificate of the key folder with its key into one file, under a password')
    .argument('<file>', 'the file to write; it must not be there yet')
    .option(...PASSWORD_OPTION)
    .option('--force', 'replace a file that is there', false)
    .addHelpText(
      'after',
      '\nPEM; each key is PKCS #8 under AES-256 and PBKDF2-HMAC-SHA-256 with 600 000 rounds, which openssl reads' +
        '\ntoo: openssl pkey -in FILE. Keep the file apart from the database, and the password apart from the file.',
    )
    .action(run);
}

async function run(
  file: string,
  options: { readonly passwordFile?: string; readonly force: boolean },
): Promise<void> {
  const { keysDir } = loadConfig();
  const keyFolder = await openKeyFolder(keysDir, 'anyone');
  const path = resolve(file);
  assertBackupPlace(path, keysDir);
  if (existsSync(path) && !options.force)
    throw new MpeError('USAGE', `${path} is there already: name another file, or replace it with --force`);
  // The newest one, which the site works with, comes first.
  const current = keyFolder.certificateThumbprint;
  const held = readCertificateKeys(keysDir)
    .map(({ certificate }) => certificate)
    .sort((a, b) => Number(b.thumbprint === current) - Number(a.thumbprint === current));
  // Says how a missing one is put back.
  if (held.length === 0) readKeyFile(keysDir, KEY_FILES.certificateKey);
  const password = await readPassword(options, true);
  if (password.length < MIN_PASSWORD)
    throw new MpeError('USAGE', `the password has fewer than ${MIN_PASSWORD} characters`);
  const text = await writeBackup(held, password);
  if (readPemPairs(text, password).length !== held.length)
    throw new MpeError('INTERNAL', 'the backup does not open');
  try {
    writeWholeFile(path, text);
  } catch (cause) {
    throw new MpeError('USAGE', `${path} cannot be written; its folder must be there and writable`, {
      cause,
    });
  }
  print(`Wrote ${path}:`, ...held.map(({ thumbprint }) => `  ${thumbprint}`));
}
