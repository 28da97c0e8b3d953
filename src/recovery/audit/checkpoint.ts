/**
 * Checkpoints: signed statements of how far the audit is, kept where the database is not. Who rewrites
 * the chain in the database, or cuts its end and moves the head back, contradicts the last of them.
 *
 * A checkpoint is a compact JWS, ES256, `typ` `mpe-audit+jws`, by the audit key of the key folder, over
 * JSON with format, site GUID, sequence, hash of that row, time. A file holds one a line and only grows.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs';
import { z } from 'zod';
import { sign, verify } from '../../jose/index.js';
import { isMpeError, MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import type { PrivateJwk, PublicJwk } from '../../protocol/jwk.js';

const TYP = 'mpe-audit+jws';

/** What a checkpoint says. */
export interface Checkpoint {
  readonly siteGuid: Guid;
  readonly sequence: bigint;
  /** Hex. */
  readonly hash: string;
  readonly atMs: number;
}

/** A line of a checkpoint file. */
export type CheckpointLine =
  | { readonly line: number; readonly kind: 'good'; readonly checkpoint: Checkpoint }
  | { readonly line: number; readonly kind: 'bad'; readonly detail: string };

const payload = z.object({
  format: z.literal(1),
  siteGuid: z.guid().transform((text) => text as Guid),
  sequence: z
    .string()
    .regex(/^\d{1,19}$/)
    .transform(BigInt),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  at: z.iso.datetime().transform((text) => Date.parse(text)),
});

/** Signs a checkpoint. */
export function signCheckpoint(checkpoint: Checkpoint, key: PrivateJwk): Promise<string> {
  const { siteGuid, sequence, hash, atMs } = checkpoint;
  const at = new Date(atMs).toISOString();
  const text = JSON.stringify({ format: 1, siteGuid, sequence: sequence.toString(), hash, at });
  return sign(Buffer.from(text, 'utf8'), key, TYP);
}

/**
 * Verifies a checkpoint.
 *
 * @throws MpeError AUDIT_BROKEN
 */
export async function readCheckpoint(token: string, key: PublicJwk, siteGuid: Guid): Promise<Checkpoint> {
  let parsed: z.infer<typeof payload>;
  try {
    parsed = payload.parse(JSON.parse((await verify(token, TYP, key)).payload.toString('utf8')));
  } catch (error) {
    const why = isMpeError(error, 'KID_UNKNOWN') ? 'another key signed it' : 'it does not verify';
    throw new MpeError('AUDIT_BROKEN', `a checkpoint is not this site's: ${why}`, { cause: error });
  }
  if (parsed.siteGuid !== siteGuid)
    throw new MpeError('AUDIT_BROKEN', `a checkpoint is of site ${parsed.siteGuid}, not of ${siteGuid}`);
  return { siteGuid, sequence: parsed.sequence, hash: parsed.hash, atMs: parsed.at };
}

/** Adds a line to a checkpoint file, on disk before it returns. */
export function appendCheckpoint(path: string, token: string): void {
  try {
    const file = openSync(path, 'a+', 0o640);
    try {
      // A line that a crash or a full disk cut off stays by itself: it spoils no other.
      const line = Buffer.from(`${endsInLine(file) ? '' : '\n'}${token}\n`, 'utf8');
      if (writeSync(file, line) < line.length) throw new Error('the disk took a part of it');
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw new MpeError(
      'AUDIT_BROKEN',
      `the checkpoint cannot be written to ${path}; its folder must be there and writable (MPE_AUDIT_CHECKPOINTS)`,
      { cause },
    );
  }
}

function endsInLine(file: number): boolean {
  const { size } = fstatSync(file);
  const last = Buffer.alloc(1);
  return size === 0 || (readSync(file, last, 0, 1, size - 1) === 1 && last[0] === 0x0a);
}

/** Every line of a checkpoint file, in order; none where there is no file. */
export async function readCheckpoints(
  path: string,
  key: PublicJwk,
  siteGuid: Guid,
): Promise<readonly CheckpointLine[]> {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  const read: CheckpointLine[] = [];
  for (const [n, text] of lines.entries()) {
    if (text.trim() === '') continue;
    try {
      read.push({ line: n + 1, kind: 'good', checkpoint: await readCheckpoint(text.trim(), key, siteGuid) });
    } catch (error) {
      if (!isMpeError(error)) throw error;
      read.push({ line: n + 1, kind: 'bad', detail: error.message });
    }
  }
  return read;
}
