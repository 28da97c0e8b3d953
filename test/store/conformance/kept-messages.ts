import { describe, expect, it } from 'vitest';
import { isMpeError } from '../../../src/ops/errors.js';
import type { DeadLetterRow, QuarantineRow, SiteStore } from '../../../src/store/site-store.js';
import type { MakeDatabase } from '../conformance.js';
import { id, register, siteSeed, T0 } from '../world.js';
import { escrow, send } from './commits.js';

const kept = (message: number, change: Partial<QuarantineRow> = {}): QuarantineRow => ({
  clientId: id('client', 1),
  messageId: id('message', message),
  bodyType: 1,
  reason: 'SEALING_KEY_UNKNOWN',
  kid: 'kid-x',
  sealed: 'a.b.c.d.e',
  attempts: 1,
  firstAtMs: T0,
  lastAtMs: T0,
  ...change,
});

const dead = (message: number, change: Partial<DeadLetterRow> = {}): DeadLetterRow => ({
  clientId: id('client', 1),
  messageId: id('message', message),
  bodyType: 1,
  cause: 'KILLED_ITS_WORKER',
  detail: 'three times',
  sealed: 'a.b.c.d.e',
  release: '0.1.0',
  resends: 0,
  deadAtMs: T0 + message,
  redrivenAtMs: null,
  ...change,
});

/** Quarantine and dead letters. */
export function keptMessages(make: MakeDatabase): void {
  const fresh = async (): Promise<SiteStore> => {
    const store = await (await make()).open();
    await store.createSite(siteSeed());
    await register(store, 1);
    return store;
  };
  const client = id('client', 1);

  describe('quarantine', () => {
    it('keeps up to the bound, counts the same message again also when full', async () => {
      const store = await fresh();
      expect(await store.quarantine(kept(1), 2)).toBe('kept');
      expect(await store.quarantine(kept(2), 2)).toBe('kept');
      expect(await store.quarantine(kept(3), 2)).toBe('full');
      expect(
        await store.quarantine(kept(1, { reason: 'CLIENT_UNKNOWN', kid: '', lastAtMs: T0 + 5 }), 2),
      ).toBe('kept');
      expect(await store.findQuarantined(client, id('message', 1))).toEqual(
        kept(1, { reason: 'CLIENT_UNKNOWN', kid: '', lastAtMs: T0 + 5, attempts: 2 }),
      );
      expect(await store.findQuarantined(client, id('message', 3))).toBeNull();
      expect(await store.counts()).toMatchObject({ quarantined: 2 });
      await store.close();
    });

    it('keeps of one client no more than its share, and then still of another', async () => {
      const store = await fresh();
      const answers: string[] = [];
      for (let n = 1; n <= 30; n += 1) answers.push(await store.quarantine(kept(n), 1000));
      expect(answers.filter((answer) => answer === 'kept')).toHaveLength(16);
      expect(await store.quarantine(kept(1), 1000)).toBe('kept');
      const other = kept(40, { clientId: id('client', 2) });
      expect(await store.quarantine(other, 1000)).toBe('kept');
      // A hundredth of a large bound is more.
      expect(await store.quarantine(kept(30), 10_000)).toBe('kept');
      await store.close();
    });

    /** As a worker does: on a busy server the turn may not come in time. */
    async function patiently<T>(work: () => Promise<T>): Promise<T> {
      for (;;) {
        try {
          return await work();
        } catch (error) {
          if (!isMpeError(error, 'STORE_TRANSIENT')) throw error;
        }
      }
    }

    it('holds the bound over several connections at once', async () => {
      const database = await make();
      const stores = [await database.open(), await database.open(), await database.open()];
      const answers = await Promise.all(
        Array.from({ length: 30 }, (_, n) => patiently(() => stores[n % 3]!.quarantine(kept(n + 1), 10))),
      );
      expect(answers.filter((answer) => answer === 'kept')).toHaveLength(10);
      expect(await stores[0]!.counts()).toMatchObject({ quarantined: 10 });
      await Promise.all(stores.map((store) => store.close()));
    });

    it('resolves the row in the transaction that decides the message, and takes it back never', async () => {
      const store = await fresh();
      await store.quarantine(kept(1), 10);
      await store.quarantine(kept(2), 10);
      await send(store, [escrow(1)]);
      expect(await store.findQuarantined(client, id('message', 1))).toBeNull();
      expect(await store.findQuarantined(client, id('message', 2))).not.toBeNull();
      // A slow process that still holds the message does not make it unprocessed again.
      expect(await store.quarantine(kept(1), 10)).toBe('kept');
      expect(await store.findQuarantined(client, id('message', 1))).toBeNull();
      await store.close();
    });

    it('keeps messages of clients that nobody knows', async () => {
      const store = await fresh();
      const stranger = kept(1, { clientId: id('client', 77), reason: 'CLIENT_UNKNOWN' });
      expect(await store.quarantine(stranger, 10)).toBe('kept');
      expect(await store.traceMessage(id('message', 1))).toEqual({
        outcomes: [],
        quarantined: [stranger],
        deadLetters: [],
      });
      await store.close();
    });
  });

  describe('dead letters', () => {
    it('are written once, count re-sends, and are found', async () => {
      const store = await fresh();
      await store.addDeadLetter(dead(1), 10);
      await store.addDeadLetter(dead(1, { cause: 'HANDLER_FAILED', deadAtMs: T0 + 99 }), 10);
      await store.countDeadLetterResend(client, id('message', 1));
      await store.countDeadLetterResend(client, id('message', 1));
      expect(await store.findDeadLetter(client, id('message', 1))).toEqual(dead(1, { resends: 2 }));
      await store.close();
    });

    it('run again after a redrive; dying again takes the redrive back and keeps the count', async () => {
      const store = await fresh();
      await store.addDeadLetter(dead(1), 10);
      await store.countDeadLetterResend(client, id('message', 1));
      expect(await store.redriveDeadLetter(client, id('message', 1), T0 + 50)).toBe(true);
      expect(await store.redriveDeadLetter(client, id('message', 2), T0 + 50)).toBe(false);
      expect((await store.findDeadLetter(client, id('message', 1)))?.redrivenAtMs).toBe(T0 + 50);
      await store.addDeadLetter(dead(1, { cause: 'STORE_FAILED', deadAtMs: T0 + 60, sealed: '' }), 10);
      expect(await store.findDeadLetter(client, id('message', 1))).toEqual(
        dead(1, { cause: 'STORE_FAILED', deadAtMs: T0 + 60, resends: 1 }),
      );
      await store.close();
    });

    it('take the cause of a newer release that gave up too', async () => {
      const store = await fresh();
      await store.addDeadLetter(dead(1), 10);
      await store.addDeadLetter(dead(1, { release: '0.2.0', cause: 'STORE_FAILED' }), 10);
      expect(await store.findDeadLetter(client, id('message', 1))).toMatchObject({
        release: '0.2.0',
        cause: 'STORE_FAILED',
      });
      await store.close();
    });

    it('end when the message is committed, and a committed message never dies', async () => {
      const store = await fresh();
      await store.addDeadLetter(dead(1), 10);
      await store.redriveDeadLetter(client, id('message', 1), T0 + 50);
      await send(store, [escrow(1)]);
      expect(await store.findDeadLetter(client, id('message', 1))).toBeNull();
      await store.addDeadLetter(dead(1), 10);
      expect(await store.findDeadLetter(client, id('message', 1))).toBeNull();
      await store.close();
    });

    it('leave their sealed text beyond the bound, the oldest first, and stay as rows', async () => {
      const store = await fresh();
      for (const n of [1, 2, 3, 4, 5]) await store.addDeadLetter(dead(n), 3);
      const sealed: boolean[] = [];
      for (const n of [1, 2, 3, 4, 5]) {
        sealed.push((await store.findDeadLetter(client, id('message', n)))?.sealed !== '');
      }
      expect(sealed).toEqual([false, false, true, true, true]);
      expect(await store.counts()).toMatchObject({ deadLetters: 5 });
      await store.close();
    });
  });
}
