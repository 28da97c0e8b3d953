import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, relative, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import { collectKeys, type Collected } from '../secrets/backup/collect.js';
import {
  MAX_BACKUP_BYTES,
  MIN_PASSWORD,
  openBackup,
  readBackupHeader,
  sealBackup,
  sha256,
  type BackupHeader,
} from '../secrets/backup/format.js';
import { stampPath, writeStamp } from '../secrets/backup/stamp.js';
import { writeWholeFile } from '../secrets/backup/whole-file.js';
import { group } from './group.js';
import { keyParts, ROLES_OPTION } from './key-parts.js';
import { print, printJson, table, warn } from './output.js';
import { PASSWORD_OPTION, readPassword } from './password.js';

interface Options {
  readonly passwordFile?: string;
  readonly roles?: readonly string[];
  readonly json: boolean;
}

/** `mpe backup FILE` and `mpe backup verify FILE`: all keys in one file that a password protects. */
export function register(program: Command): void {
  const backup = group(program, 'backup', 'The keys in one file that a password protects; not the database');
  backup
    .command('create', { isDefault: true })
    .description('write the key folder into FILE (the default: "mpe backup FILE")')
    .argument('<file>', 'the backup; replaced where it is an earlier one of the same files')
    .option(...PASSWORD_OPTION)
    .option(ROLES_OPTION, 'only these parts: root, ca, gateway, worker, recovery; else all that are here')
    .option('--json', 'print the result as JSON', false)
    .action(create);
  backup
    .command('verify')
    .description('open FILE, compare every file in it with its digest, and with the key folder here')
    .argument('<file>', 'the backup')
    .option(...PASSWORD_OPTION)
    .option('--json', 'print the result as JSON', false)
    .action(verify);
}

/**
 * Reads a backup file.
 *
 * @throws MpeError USAGE where it cannot be read, BACKUP_INVALID where it is too large to be one
 */
export function readBackupFile(file: string): Buffer {
  try {
    if (statSync(file).size <= MAX_BACKUP_BYTES) return readFileSync(file);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new MpeError('USAGE', `${file} cannot be read (${code})`, { cause });
  }
  throw new MpeError('BACKUP_INVALID', `${file} is too large to be a backup of keys`);
}

async function create(name: string, options: Options): Promise<void> {
  const { keysDir } = loadConfig();
  const file = resolve(name);
  assertBackupPlace(file, keysDir);
  const collected = await collectKeys(keysDir, keyParts(options.roles));
  assertReplaceable(file, collected);
  const password = await readPassword(options, true);
  assertLong(password);
  const { siteGuid, files, parts } = collected;
  const bytes = await sealBackup(siteGuid, files, password, Date.now());
  try {
    writeWholeFile(file, bytes);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new MpeError('USAGE', `${file} cannot be written (${code})`, { cause });
  }
  // What is on the disk now, not what was meant to be.
  const { header } = await openBackup(readBackupFile(file), password);
  stamp(keysDir, file, header, collected);
  if (options.json) {
    printJson({ file, ...header, parts });
    return;
  }
  print(
    `${file}: ${files.length} files of site ${siteGuid} (site.json, ${parts.map((part) => `${part}/`).join(', ')}), read back and equal.`,
    'Keep it away from this host and from the password. The database is not in it: back that up too, apart from this file.',
  );
}

function assertLong(password: string): void {
  const { length } = Array.from(password);
  if (length >= MIN_PASSWORD) return;
  throw new MpeError(
    'USAGE',
    `the password has ${length} characters; it needs ${MIN_PASSWORD} or more, because whoever copies the backup may ` +
      'try passwords for ever. Six random words are good',
  );
}

/** The backup is what matters; without the stamp `mpe doctor` only does not know of it. */
function stamp(keysDir: string, file: string, header: BackupHeader, { files }: Collected): void {
  try {
    writeStamp(keysDir, file, header, files);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    warn(
      `WARNING: ${stampPath(keysDir)} cannot be written (${code}): "mpe doctor" will not know of this backup`,
    );
  }
}

/**
 * Beside its own keys a backup would be lost with them.
 *
 * @throws MpeError USAGE
 */
export function assertBackupPlace(file: string, keysDir: string): void {
  const inside = relative(keysDir, file);
  if (!inside.startsWith('..') && !inside.startsWith(sep))
    throw new MpeError('USAGE', `${file} lies in the key folder; write the backup to another disk`);
  if (!existsSync(dirname(file)))
    throw new MpeError('USAGE', `the folder ${dirname(file)} does not exist; make it first`);
}

/** An earlier backup gives way to one that holds all its files; nothing else does. */
function assertReplaceable(file: string, { siteGuid, files }: Collected): void {
  if (!existsSync(file)) return;
  let old: BackupHeader;
  try {
    old = readBackupHeader(readBackupFile(file));
  } catch (error) {
    if (!isMpeError(error)) throw error;
    throw new MpeError(
      'BACKUP_REFUSED',
      `${file} is there and is no backup of this site. Choose another name`,
    );
  }
  if (old.siteGuid !== siteGuid)
    throw new MpeError('BACKUP_REFUSED', `${file} is a backup of site ${old.siteGuid}. Choose another name`);
  const lost = old.entries.filter(({ path }) => !files.some((one) => one.path === path));
  if (lost.length === 0) return;
  throw new MpeError(
    'BACKUP_REFUSED',
    `${file} is a backup that holds more than this one would (${lost.map(({ path }) => path).join(', ')}). ` +
      'Choose another name',
  );
}

async function verify(name: string, options: Options): Promise<void> {
  const { keysDir } = loadConfig();
  const bytes = readBackupFile(resolve(name));
  readBackupHeader(bytes);
  const { header, files } = await openBackup(bytes, await readPassword(options));
  const here = await hereNow(keysDir);
  const compared = files.map(({ path, content }) => {
    const mine = here?.files.find((one) => one.path === path);
    if (here?.siteGuid !== header.siteGuid) return { path, here: 'not compared' as const };
    if (mine === undefined) return { path, here: 'not here' as const };
    return {
      path,
      here: sha256(mine.content) === sha256(content) ? ('equal' as const) : ('differs' as const),
    };
  });
  const isNew = here?.siteGuid === header.siteGuid ? here.files.filter(notIn(files)) : [];
  for (const { path } of isNew) compared.push({ path, here: 'differs' });
  if (options.json) {
    printJson({ ...header, entries: compared });
    return;
  }
  print(
    `Backup of site ${header.siteGuid}, made ${header.createdAt} by ${header.madeBy}; every file in it is sound.`,
    '',
    ...table(
      ['file', 'key folder here'],
      compared.map(({ path, here: state }) => [path, state]),
    ),
    '',
    compared.some(({ here: state }) => state === 'differs')
      ? 'The key folder has changed since: make a new backup.'
      : 'Nothing here is newer than this backup.',
  );
}

function notIn(files: Collected['files']): (file: { readonly path: string }) => boolean {
  return ({ path }) => !files.some((one) => one.path === path);
}

/** A host without keys, or with damaged ones, verifies a backup all the same. */
async function hereNow(keysDir: string): Promise<Collected | null> {
  try {
    return await collectKeys(keysDir, null);
  } catch (error) {
    if (!isMpeError(error)) throw error;
    return null;
  }
}
