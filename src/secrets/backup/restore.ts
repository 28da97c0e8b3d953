import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { MpeError } from '../../ops/errors.js';
import { DRAFT, isSecretPath, partsOf, type KeyPart } from '../inventory.js';
import { KEY_FILES, keyFolderError } from '../key-files.js';
import { removeDrafts, writeKeyFile, writePrivateFile } from '../write-key-files.js';
import { sha256, type BackupFile, type OpenedBackup } from './format.js';

/**
 * Lies in a folder while a restore fills it, and names the backup. `site.json` comes last: without it no
 * process takes the folder for a key folder.
 */
const MARKER = 'restore-unfinished.json';
const markerSchema = z.object({ format: z.literal(1), id: z.string(), createdAt: z.string() });

/** What a restore came to. */
export interface Restored {
  readonly parts: readonly KeyPart[];
  readonly written: number;
  /** Files that were there already, by this backup: of a restore that was stopped. */
  readonly kept: number;
}

/**
 * Writes the files of a backup into a key folder: an empty one, or the one that the same backup half
 * filled. Stopped at any moment and run again, it completes.
 *
 * @param wanted - parts; null: all that the backup holds
 * @throws MpeError BACKUP_REFUSED where the folder holds anything else; nothing was changed then.
 *   KEY_FOLDER_INVALID where it cannot be written
 */
export function restoreKeys(
  backup: OpenedBackup,
  folder: string,
  wanted: readonly KeyPart[] | null,
): Restored {
  const files = chosen(backup, wanted);
  assertOurs(backup, folder);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
    const complete = files.every((file) => isThere(folder, file)) && !existsSync(join(folder, MARKER));
    if (!complete) {
      const { id, createdAt } = backup.header;
      writePrivateFile(join(folder, MARKER), `${JSON.stringify({ format: 1, id, createdAt })}\n`);
    }
    let written = 0;
    for (const file of files) {
      if (!isThere(folder, file)) {
        writeKeyFile(folder, file.path, file.content);
        written += 1;
      }
      chmodSync(join(folder, file.path), isSecretPath(file.path) ? 0o600 : (file.mode & 0o644) | 0o600);
    }
    finish(folder, files);
    return { parts: partsOf(folder), written, kept: files.length - written };
  } catch (error) {
    if (error instanceof MpeError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw keyFolderError(folder, `cannot be written (${code}). Mend that and run the same again`, error);
  }
}

/** Reads everything back, tidies up, and takes the marker away. */
function finish(folder: string, files: readonly BackupFile[]): void {
  for (const file of files) {
    if (isThere(folder, file)) continue;
    throw keyFolderError(folder, `${file.path} reads back otherwise than it was written; is the disk sound?`);
  }
  for (const place of [folder, ...partsOf(folder).map((part) => join(folder, part))]) {
    chmodSync(place, 0o700);
    removeDrafts(place);
  }
  rmSync(join(folder, MARKER), { force: true });
}

/** `site.json` last. */
function chosen({ files }: OpenedBackup, wanted: readonly KeyPart[] | null): readonly BackupFile[] {
  const parts = new Set(files.flatMap(({ path }) => (path.includes('/') ? [path.split('/')[0]] : [])));
  const missing = (wanted ?? []).filter((part) => !parts.has(part));
  if (missing.length > 0)
    throw new MpeError('BACKUP_REFUSED', `the backup does not hold ${missing.join('/, ')}/`);
  const inParts = files.filter(({ path }) => {
    const part = path.split('/')[0] as KeyPart;
    return path !== KEY_FILES.site && (wanted === null || wanted.includes(part));
  });
  return [...inParts, ...files.filter(({ path }) => path === KEY_FILES.site)];
}

function isThere(folder: string, { path, content }: BackupFile): boolean {
  try {
    return sha256(readFileSync(join(folder, path))) === sha256(content);
  } catch {
    return false;
  }
}

/** Refuses a folder with anything that this backup did not put there. */
function assertOurs(backup: OpenedBackup, folder: string): void {
  const there = pathsIn(folder).filter((path) => !DRAFT.test(path));
  if (there.length === 0) return;
  const marker = readMarker(folder);
  const { id } = backup.header;
  if (marker !== null && marker.id !== id) {
    throw refused(
      folder,
      `holds a restore of another backup (made ${marker.createdAt}) that was stopped. Finish that one, or empty ` +
        'the folder',
    );
  }
  const foreign = there.filter((path) => {
    const file = backup.files.find((one) => one.path === path);
    return path !== MARKER && (file === undefined || (marker === null && !isThere(folder, file)));
  });
  if (foreign.length === 0) return;
  throw refused(
    folder,
    `holds other files than this backup (${foreign.slice(0, 3).join(', ')}${foreign.length > 3 ? ', …' : ''}). ` +
      'Keys are never overwritten: restore into an empty folder with --into, or move these away first',
  );
}

function refused(folder: string, why: string): MpeError {
  return new MpeError('BACKUP_REFUSED', `${folder} ${why}. Nothing was changed.`);
}

function readMarker(folder: string): z.infer<typeof markerSchema> | null {
  try {
    return markerSchema.parse(JSON.parse(readFileSync(join(folder, MARKER), 'utf8')));
  } catch {
    return null;
  }
}

/** Files below a folder, as paths inside it; none where it is not there. */
function pathsIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) =>
        join(entry.parentPath, entry.name)
          .slice(folder.length + 1)
          .replaceAll('\\', '/'),
      );
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    if (code === 'ENOENT') return [];
    throw keyFolderError(folder, `cannot be read (${code})`, error);
  }
}
