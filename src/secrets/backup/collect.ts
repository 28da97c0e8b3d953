import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Guid } from '../../protocol/guid.js';
import { assertKeyMatches } from '../certificate-file.js';
import { isKeyPath, isSecretPath, partsOf, type KeyPart } from '../inventory.js';
import { KEY_FILES, assertPrivate, keyFolderError, readKeyFile, readSigningKey } from '../key-files.js';
import { openKeyFolder } from '../key-folder.js';
import type { BackupFile } from './format.js';

/** A certificate or a root key may be added while we read; it takes moments. */
const TRIES = 5;
const MAX_FILE = 64 * 1024;

/** What a backup takes from a key folder. */
export interface Collected {
  readonly siteGuid: Guid;
  readonly parts: readonly KeyPart[];
  readonly files: readonly BackupFile[];
}

/**
 * Reads a key folder as of one moment, and checks that every key in it can be read: a backup of damaged
 * keys would look like a backup.
 *
 * @param wanted - parts; null: those that are here
 * @throws MpeError KEY_FOLDER_INVALID
 */
export async function collectKeys(folder: string, wanted: readonly KeyPart[] | null): Promise<Collected> {
  const { siteGuid } = await openKeyFolder(folder, 'anyone');
  const here = partsOf(folder);
  const missing = (wanted ?? []).filter((part) => !here.includes(part));
  if (missing.length > 0)
    throw keyFolderError(folder, `${missing.join('/, ')}/ is not here, and so cannot be backed up`);
  const parts = wanted === null ? here : here.filter((part) => wanted.includes(part));
  await assertSound(folder, parts);
  for (let tries = 1; ; tries += 1) {
    const before = stateOf(folder, parts);
    const files = before.map(({ path, mode }) => {
      if (isSecretPath(path)) assertPrivate(folder, path, mode);
      return { path, mode: mode & 0o777, content: readFileSync(join(folder, path)) };
    });
    const same = JSON.stringify(stateOf(folder, parts)) === JSON.stringify(before);
    if (same) return { siteGuid, parts, files };
    if (tries === TRIES) throw keyFolderError(folder, 'is being changed; run this again afterwards');
  }
}

/** In a fixed order; drafts of other commands are no keys. */
function stateOf(
  folder: string,
  parts: readonly KeyPart[],
): readonly { readonly path: string; readonly mode: number; readonly at: string }[] {
  const names = parts.flatMap((part) => readdirSync(join(folder, part)).map((name) => `${part}/${name}`));
  return [KEY_FILES.site, ...names.sort()].filter(isKeyPath).flatMap((path) => {
    // Gone between the two looks: the comparison sees it.
    const stat = statSync(join(folder, path), { throwIfNoEntry: false });
    if (stat?.isFile() !== true) return [];
    if (stat.size > MAX_FILE) throw keyFolderError(folder, `${path} is too large to be a key: move it away`);
    return [{ path, mode: stat.mode, at: `${stat.ino} ${stat.size} ${stat.mtimeMs}` }];
  });
}

async function assertSound(folder: string, parts: readonly KeyPart[]): Promise<void> {
  const keys = await openKeyFolder(folder, 'anyone');
  for (const part of parts) {
    switch (part) {
      case 'root':
        readSigningKey(folder, KEY_FILES.rootKey);
        break;
      case 'ca':
        assertKeyMatches(
          readKeyFile(folder, KEY_FILES.caKey),
          readKeyFile(folder, KEY_FILES.ca),
          `key folder ${folder}: ${KEY_FILES.ca}`,
        );
        break;
      case 'gateway':
        keys.tokenKey();
        keys.tls();
        break;
      case 'worker':
        keys.workerSecret();
        keys.certificate();
        break;
      case 'recovery':
        keys.certificateKey();
        if (existsSync(join(folder, KEY_FILES.auditKey))) readSigningKey(folder, KEY_FILES.auditKey);
        break;
    }
  }
}
