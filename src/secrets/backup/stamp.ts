import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { parseGuid, type Guid } from '../../protocol/guid.js';
import { inventoryOf } from '../inventory.js';
import { sha256, type BackupFile, type BackupHeader } from './format.js';
import { writeWholeFile } from './whole-file.js';

/** What `mpe backup` leaves beside the key folder, so that `mpe doctor` knows whether keys changed since. */
export interface BackupStamp {
  readonly siteGuid: Guid;
  readonly createdAt: string;
  /** Where it was written to. */
  readonly file: string;
  /** SHA-256 of the backup. */
  readonly id: string;
  /** Path inside the key folder → SHA-256 of its content. The keys are random: a digest tells nothing of one. */
  readonly files: Readonly<Record<string, string>>;
}

const stampSchema = z.object({
  format: z.literal(1),
  siteGuid: z.string().transform((text) => parseGuid(text)),
  createdAt: z.iso.datetime(),
  file: z.string(),
  id: z.string(),
  files: z.record(z.string(), z.string()),
});

/** Where the stamp of a key folder lies: beside it, for the folder holds keys alone. */
export function stampPath(keysDir: string): string {
  return `${keysDir}.backup.json`;
}

/** Notes a backup that was written and read back. */
export function writeStamp(
  keysDir: string,
  file: string,
  header: BackupHeader,
  files: readonly BackupFile[],
): void {
  const { siteGuid, createdAt, id } = header;
  const digests = Object.fromEntries(files.map(({ path, content }) => [path, sha256(content)]));
  const stamp = { format: 1, siteGuid, createdAt, file, id, files: digests };
  writeWholeFile(stampPath(keysDir), `${JSON.stringify(stamp, null, 2)}\n`);
}

/** The last backup of a key folder that was made on this host; null where none is known. */
export function readStamp(keysDir: string): BackupStamp | null {
  try {
    return stampSchema.parse(JSON.parse(readFileSync(stampPath(keysDir), 'utf8')));
  } catch {
    // Missing or damaged: either way nothing is known.
    return null;
  }
}

/** Files of the key folder that the last backup does not hold as they are now. */
export function changedSince(keysDir: string, stamp: BackupStamp): readonly string[] {
  return inventoryOf(keysDir)
    .filter(({ inBackup }) => inBackup)
    .map(({ path }) => path)
    .filter((path) => stamp.files[path] !== digestOf(join(keysDir, path)));
}

function digestOf(path: string): string | null {
  try {
    return sha256(readFileSync(path));
  } catch {
    return null;
  }
}
