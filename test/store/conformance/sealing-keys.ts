import { describe, expect, it } from 'vitest';
import type { ArchivedSealingKeyRow, QuarantineRow, SealingKeyRow } from '../../../src/store/site-store.js';
import type { MakeDatabase } from '../conformance.js';
import { id, register, siteSeed, T0 } from '../world.js';

const key = (kid: string, change: Partial<SealingKeyRow> = {}): SealingKeyRow => ({
  kid,
  alg: 'RSA-OAEP-256',
  publicJwk: '{"kty":"RSA"}',
  wrappedPrivate: `sk-${kid}`,
  state: 'ACTIVE',
  createdAtMs: T0,
  ...change,
});

const archived = (kid: string, certificateThumbprint = 'cert-1'): ArchivedSealingKeyRow => ({
  kid,
  certificateThumbprint,
  alg: 'RSA-OAEP-256',
  publicJwk: '{"kty":"RSA"}',
  wrapped: `dk-${kid}-${certificateThumbprint}`,
  createdAtMs: T0,
  archivedAtMs: T0 + 5,
});

const kept = (message: number, change: Partial<QuarantineRow> = {}): QuarantineRow => ({
  clientId: id('client', 1),
  messageId: id('message', message),
  bodyType: 1,
  reason: 'SEALING_KEY_UNKNOWN',
  kid: 'kid-x',
  sealed: 'a.b.c.d.e',
  attempts: 1,
  firstAtMs: T0,
  lastAtMs: T0 + message,
  ...change,
});

/** Sealing keys that come and go, and the messages that waited for them. */
export function sealingKeys(make: MakeDatabase): void {
  const fresh = async () => {
    const database = await make();
    const store = await database.open();
    await store.createSite(siteSeed());
    return { database, store };
  };

  describe('sealing keys', () => {
    it('leave only what is in the archive, once, and come back', async () => {
      const { database, store } = await fresh();
      await store.addSealingKey(key('kid-2', { createdAtMs: T0 + 1 }));
      await expect(store.removeSealingKey('kid-1')).rejects.toMatchObject({ code: 'VALUE_INVALID' });
      await store.archiveSealingKey(archived('kid-1'));
      expect(await store.removeSealingKey('kid-1')).toBe(true);
      expect(await store.removeSealingKey('kid-1')).toBe(false);
      expect((await store.readSealingKeys()).map((row) => row.kid)).toEqual(['kid-2']);
      await store.addSealingKey(key('kid-1'));
      const other = await database.open();
      expect((await other.readSealingKeys()).map((row) => row.kid)).toEqual(['kid-2', 'kid-1']);
      await other.close();
      await store.close();
    });

    it('are archived once for each certificate, and no row ever changes', async () => {
      const { database, store } = await fresh();
      await store.archiveSealingKey(archived('kid-1', 'cert-2'));
      await store.archiveSealingKey(archived('kid-1'));
      await store.archiveSealingKey({ ...archived('kid-1'), wrapped: 'another' });
      expect(await store.readArchivedSealingKeys()).toEqual([archived('kid-1'), archived('kid-1', 'cert-2')]);
      await expect(database.sql("UPDATE MPE_SealingKeyArchive SET Wrapped = 'x'")).rejects.toThrow(
        /append-only/,
      );
      await expect(database.sql('DELETE FROM MPE_SealingKeyArchive')).rejects.toThrow(/append-only/);
      await store.close();
    });
  });

  describe('release from quarantine', () => {
    const known = { sealingKids: ['kid-1', 'kid-2'], bodyTypes: [1, 2], nowMs: T0 + 3_600_000, limit: 100 };

    it('finds what the site knows by now: sealing key, client, signing key, body type', async () => {
      const { store } = await fresh();
      await register(store, 1);
      const kid = (await store.findClient(id('client', 1)))?.keys[0]?.kid ?? '';
      expect(kid).not.toBe('');
      const rows = [
        kept(1, { kid: 'kid-2' }),
        kept(2, { kid: 'kid-unknown' }),
        kept(3, { reason: 'CLIENT_UNKNOWN', kid }),
        kept(4, { reason: 'SIGNING_KEY_UNKNOWN', kid }),
        kept(5, { reason: 'SIGNING_KEY_UNKNOWN', kid: 'other' }),
        kept(6, { reason: 'CLIENT_UNKNOWN', kid, clientId: id('client', 2) }),
        kept(7, { reason: 'BODY_TYPE_UNKNOWN', kid: '', bodyType: 2 }),
        kept(8, { reason: 'BODY_TYPE_UNKNOWN', kid: '', bodyType: 99 }),
        // A kid is its exact letters.
        kept(9, { kid: 'KID-2' }),
      ];
      for (const row of rows) await store.quarantine(row, 1000);
      const found = await store.findReleasableQuarantine(known);
      expect(found).toEqual([1, 3, 4, 7].map((n) => rows[n - 1]));
      expect(await store.findReleasableQuarantine({ ...known, limit: 2 })).toEqual([rows[0], rows[2]]);
      expect(
        (await store.findReleasableQuarantine({ ...known, sealingKids: [], bodyTypes: [] })).map(
          (row) => row.messageId,
        ),
      ).toEqual([id('message', 3), id('message', 4)]);
      await store.close();
    });

    it('lets a message rest after each attempt, and leaves dead letters', async () => {
      const { store } = await fresh();
      await store.quarantine(kept(1, { kid: 'kid-1', lastAtMs: T0 }), 1000);
      const at = async (ms: number): Promise<number> =>
        (await store.findReleasableQuarantine({ ...known, nowMs: T0 + ms })).length;
      expect([await at(9_999), await at(10_000)]).toEqual([0, 1]);
      for (let n = 0; n < 99; n += 1) await store.quarantine(kept(1, { kid: 'kid-1', lastAtMs: T0 }), 1000);
      expect([await at(599_999), await at(600_000)]).toEqual([0, 1]);
      await store.addDeadLetter(
        {
          clientId: id('client', 1),
          messageId: id('message', 1),
          bodyType: 1,
          cause: 'HANDLER_FAILED',
          detail: '',
          sealed: 'a.b.c.d.e',
          release: '0.1.0',
          resends: 0,
          deadAtMs: T0,
          redrivenAtMs: null,
        },
        10,
      );
      expect(await at(3_600_000)).toBe(0);
      await store.close();
    });

    it('removes a decided message, unless it was sealed anew since', async () => {
      const { store } = await fresh();
      await store.quarantine(kept(1), 1000);
      await store.resolveQuarantined(id('client', 1), id('message', 1), 'older');
      expect(await store.findQuarantined(id('client', 1), id('message', 1))).not.toBeNull();
      await store.resolveQuarantined(id('client', 1), id('message', 1), 'a.b.c.d.e');
      expect(await store.findQuarantined(id('client', 1), id('message', 1))).toBeNull();
      await store.close();
    });
  });
}
