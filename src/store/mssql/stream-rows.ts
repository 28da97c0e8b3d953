import sql from 'mssql';
import type { Pool } from './pool.js';
import type { SqlParameters, SqlRow } from './session.js';
import { watch } from './watchdog.js';

/** Rows read ahead of the reader. */
const READ_AHEAD = 256;

/**
 * The rows of one query as they arrive. While the reader is busy the request is paused, and with
 * it the socket; the deadline counts only while the reader waits for a row.
 */
export async function* streamRows(
  pool: Pool,
  text: string,
  parameters: SqlParameters,
  deadlineMs: number,
): AsyncGenerator<SqlRow, void, void> {
  const request = new sql.Request(pool);
  for (const [name, { type, value }] of Object.entries(parameters)) request.input(name, type, value);
  const readable = request.toReadableStream({ highWaterMark: READ_AHEAD });
  const state = { ended: false };
  request.once('done', () => (state.ended = true));
  request.query(text).catch((error: unknown) => readable.destroy(error as Error));
  const rows = readable[Symbol.asyncIterator]() as AsyncIterator<SqlRow, undefined>;
  try {
    for (;;) {
      const next = await watch(pool, request, 'row of a query', deadlineMs, () => rows.next());
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    readable.destroy();
    if (!state.ended) pool.destroyConnectionOf(request);
  }
}
