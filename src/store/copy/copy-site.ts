import { setTimeout as sleep } from 'node:timers/promises';
import { isMpeError, MpeError } from '../../ops/errors.js';
import { COPY_PARTS, wholeTable, type CopyPart } from './parts.js';
import { differences, rowsOf, type SiteState } from './record.js';
import type { CopySource, CopyTarget } from './side.js';
import { checkCopySchema, countAll, survey } from './survey.js';
import { COPY_TABLES, type NeutralRow } from './tables.js';

/** What a copy is doing. */
export type CopyPhase = 'reading the source' | 'copying' | 'checking the target' | 'checking the source';

/** Follows a copy. */
export interface CopyOptions {
  readonly onProgress: (phase: CopyPhase, rows: number, total: number) => void;
  /** A part begins. */
  readonly onPart?: (part: CopyPart, rows: number) => void;
  readonly now: () => number;
}

/** How a copy ended. */
export interface CopyResult {
  readonly state: SiteState;
  /** The target had been finished before; nothing was done. */
  readonly wasFinished: boolean;
  /** An earlier run had begun it. */
  readonly resumed: boolean;
}

/** A batch holds no more than this: bounded memory, short transactions. */
const BATCH_ROWS = 1000;
const BATCH_BYTES = 1 << 19;

/** Waits before a batch is tried again after a failure that passes: a fail-over takes that long. */
const PAUSES_MS = [500, 2000, 5000, 15_000];

/**
 * Copies a site into an empty database, or goes on with a copy that was cut short. The target is
 * marked before the first row and is refused by every other command until every row of it has been
 * read back and compared. The source is only read; it is read again at the end, so that nothing
 * which was stored meanwhile stays behind.
 *
 * @throws MpeError COPY_REFUSED where the target is not empty, or the source changed; SITE_MISMATCH,
 *   SCHEMA_MISMATCH, and what the stores throw.
 */
export async function copySite(
  source: CopySource,
  target: CopyTarget,
  options: CopyOptions,
): Promise<CopyResult> {
  await checkCopySchema(source, 'the source');
  await checkCopySchema(target, 'the target');
  const record = await target.readRecord();
  if (record === null) await requireEmpty(target);

  const watched = async (side: CopySource, phase: CopyPhase): Promise<SiteState> => {
    const total = await countAll(side);
    return survey(side, (rows) => options.onProgress(phase, rows, total));
  };
  const state = await watched(source, 'reading the source');
  if (record === null) {
    await target.begin({ state, beganAtMs: options.now(), finishedAtMs: null });
  } else {
    const changed = differences(record.state, state);
    if (changed.length > 0) throw notTheSame(changed, record.finishedAtMs !== null);
    if (record.finishedAtMs !== null) return { state, wasFinished: true, resumed: false };
  }

  await copyRows(source, target, state, options);
  const arrived = differences(state, await watched(target, 'checking the target'));
  // A source that changed explains a target that differs; it is read last, so that the least escapes.
  const changed = differences(state, await watched(source, 'checking the source'));
  if (changed.length > 0) throw notTheSame(changed, false);
  if (arrived.length > 0) {
    throw new MpeError(
      'COPY_REFUSED',
      `the target is not what the source is (${arrived.join('; ')}): something else wrote into it, or it cannot ` +
        'hold these values. It stays closed; start again with an empty target',
    );
  }
  await target.finish(options.now());
  return { state, wasFinished: false, resumed: record !== null };
}

async function requireEmpty(target: CopyTarget): Promise<void> {
  for (const table of COPY_TABLES) {
    if (table.seeded || (await target.count(wholeTable(table))) === 0) continue;
    throw new MpeError(
      'COPY_REFUSED',
      `the target is not empty (${table.name} has rows): give an empty database, for a site is never merged into another`,
    );
  }
}

function notTheSame(changed: readonly string[], finished: boolean): MpeError {
  const what = changed.join('; ');
  return new MpeError(
    'COPY_REFUSED',
    finished
      ? `the target holds a finished copy, and the source is not what it was then (${what}): to copy again, give an empty database`
      : `the source changed since the copy began (${what}): stop every gateway, worker and recovery service of the source, ` +
          'then start again with an empty target',
  );
}

async function copyRows(
  source: CopySource,
  target: CopyTarget,
  state: SiteState,
  options: CopyOptions,
): Promise<void> {
  const total = rowsOf(state);
  let before = 0;
  for (const part of COPY_PARTS) {
    const rows = await source.count(part);
    const there = await target.count(part);
    options.onPart?.(part, rows);
    // Seeded rows are there and move with the rows that they follow (the end of the audit chain).
    if (there < rows && !part.table.seeded) {
      const onRows = (done: number): void =>
        options.onProgress('copying', Math.min(before + done, total), total);
      try {
        // Batches come in one order and are whole, so what is there is the beginning. Where it is not
        // (a release with another order wrote it), rows with a key are gone through once more.
        await copyPart(source, target, part, there, onRows);
        const keyed = part.table.key[target.store.dialect].length > 0;
        if (keyed && there > 0 && (await target.count(part)) < rows)
          await copyPart(source, target, part, 0, onRows);
      } catch (error) {
        throw await explain(source, part, rows, error);
      }
    }
    before += rows;
    options.onProgress('copying', Math.min(before, total), total);
  }
}

async function copyPart(
  source: CopySource,
  target: CopyTarget,
  part: CopyPart,
  skip: number,
  onRows: (rows: number) => void,
): Promise<void> {
  let batch: NeutralRow[] = [];
  let bytes = 0;
  let written = skip;
  const flush = async (): Promise<void> => {
    if (batch.length > 0) await patiently(() => target.insert(part, batch, written));
    written += batch.length;
    [batch, bytes] = [[], 0];
    onRows(written);
  };
  for await (const row of source.read(part, skip)) {
    batch.push(row);
    bytes += sizeOf(row);
    if (batch.length >= BATCH_ROWS || bytes >= BATCH_BYTES) await flush();
  }
  await flush();
}

/** A batch may be written twice: what is there stays out. */
async function patiently(work: () => Promise<void>): Promise<void> {
  for (const pause of PAUSES_MS) {
    try {
      await work();
      return;
    } catch (error) {
      if (!isMpeError(error, 'STORE_TRANSIENT')) throw error;
    }
    await sleep(pause);
  }
  await work();
}

function sizeOf(row: NeutralRow): number {
  return row.reduce<number>(
    (sum, value) => sum + (typeof value === 'string' || Buffer.isBuffer(value) ? value.length : 8),
    0,
  );
}

/** A source that is written to meanwhile shows as a row whose parent was not there yet. */
async function explain(source: CopySource, part: CopyPart, rows: number, error: unknown): Promise<unknown> {
  if (!isMpeError(error, 'STORE_FAILED')) return error;
  const now = await source.count(part);
  if (now !== rows) return notTheSame([`${part.table.name}: ${rows} rows and ${now}`], false);
  return new MpeError('STORE_FAILED', `copying ${part.table.name}: ${error.message}`, { cause: error });
}
