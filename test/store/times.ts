import type { SiteStore } from '../../src/store/site-store.js';
import { id } from './world.js';

/** Writes each time as that of a dead letter: client by number, messages 1, 2, … */
export async function writeTimes(store: SiteStore, client: number, times: readonly number[]): Promise<void> {
  for (const [n, time] of times.entries()) {
    await store.addDeadLetter(
      {
        clientId: id('client', client),
        messageId: id('message', n + 1),
        bodyType: 1,
        cause: 'QUEUE_FAILED',
        detail: '',
        sealed: '',
        release: '0',
        resends: 0,
        deadAtMs: time,
        redrivenAtMs: time,
      },
      100,
    );
  }
}

/** Reads them back; NaN where the two columns differ. */
export async function readTimes(store: SiteStore, client: number, count: number): Promise<number[]> {
  const rows = await Promise.all(
    Array.from({ length: count }, (_, n) => store.findDeadLetter(id('client', client), id('message', n + 1))),
  );
  return rows.map((row) => (row !== null && row.deadAtMs === row.redrivenAtMs ? row.deadAtMs : Number.NaN));
}
