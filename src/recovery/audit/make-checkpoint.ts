import type { Clock } from '../../ops/clock.js';
import { MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import { publicPart } from '../../jose/index.js';
import type { PrivateJwk } from '../../protocol/jwk.js';
import type { AuditRow, DisclosureStore } from '../../store/disclosure-store.js';
import { appendCheckpoint, readCheckpoints, signCheckpoint, type Checkpoint } from './checkpoint.js';
import { faultsOf, faultText } from './verify-audit.js';

/** What a checkpoint is made with. */
export interface CheckpointOptions {
  readonly store: Pick<DisclosureStore, 'auditAfter' | 'auditHead'>;
  readonly siteGuid: Guid;
  readonly key: PrivateJwk;
  readonly path: string;
  readonly clock: Clock;
  /** Also where nothing was written since the last one. */
  readonly always: boolean;
}

const PAGE = 1000;

/**
 * Verifies the rows since the last checkpoint and signs the end of the chain. A chain that is broken
 * there gets no signature.
 *
 * @returns null where there is nothing new
 * @throws MpeError AUDIT_BROKEN
 */
export async function makeCheckpoint(options: CheckpointOptions): Promise<Checkpoint | null> {
  const { store, siteGuid, key, path, clock } = options;
  const lines = await readCheckpoints(path, publicPart(key), siteGuid);
  const last = lines.flatMap((line) => (line.kind === 'good' ? [line.checkpoint] : [])).at(-1) ?? null;
  const end = await walk(store, last);
  const sequence = end?.sequence ?? 0n;
  if (!options.always && last !== null && last.sequence === sequence) return null;
  if (!options.always && sequence === 0n) return null;
  const hash = Buffer.from(end?.hash ?? Buffer.alloc(32)).toString('hex');
  const checkpoint = { siteGuid, sequence, hash, atMs: clock.now() };
  appendCheckpoint(path, await signCheckpoint(checkpoint, key));
  return checkpoint;
}

/** The last row, after every row from the last checkpoint's on was verified. */
async function walk(store: CheckpointOptions['store'], last: Checkpoint | null): Promise<AuditRow | null> {
  const head = await store.auditHead();
  const from = last === null || last.sequence === 0n ? 0n : last.sequence - 1n;
  let previous: AuditRow | null = null;
  for (let place = from; ;) {
    const page: readonly AuditRow[] = await store.auditAfter(place, PAGE);
    for (const row of page) {
      if (previous === null && from > 0n) {
        if (row.sequence !== last?.sequence || Buffer.from(row.hash).toString('hex') !== last.hash)
          throw broken(`row ${last?.sequence ?? 0n} is not the one of the last checkpoint`);
      }
      const faults = previous === null && from > 0n ? [] : faultsOf(row, previous);
      if (faults[0] !== undefined) throw broken(faultText(faults[0]));
      previous = row;
      place = row.sequence;
    }
    if (page.length < PAGE) break;
  }
  if (previous === null && from > 0n)
    throw broken(`row ${last?.sequence ?? 0n} of the last checkpoint is missing`);
  if ((previous?.sequence ?? 0n) < head.sequence)
    throw broken(
      `rows after ${previous?.sequence ?? 0n} are missing: the head of the chain is at ${head.sequence}`,
    );
  return previous;
}

function broken(detail: string): MpeError {
  return new MpeError(
    'AUDIT_BROKEN',
    `no checkpoint was made: ${detail}. Look at all of it: mpe audit verify`,
  );
}
