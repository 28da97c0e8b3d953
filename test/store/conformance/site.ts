import { describe, expect, it } from 'vitest';
import type { MakeDatabase } from '../conformance.js';
import { DATA_KEY, id, register, siteSeed, T0 } from '../world.js';

/** The site's own rows, durability, schema. */
export function siteRows(make: MakeDatabase): void {
  describe('site', () => {
    it('reads back what site init wrote, on another connection', async () => {
      const database = await make();
      const store = await database.open();
      const seed = siteSeed();
      expect(await store.readSite()).toBeNull();
      await store.createSite(seed);
      await store.close();
      const other = await database.open({ readOnly: true });
      expect(await other.readSite()).toEqual(seed.site);
      expect(await other.readSiteDocument()).toEqual(seed.siteDocument);
      expect(await other.readSealingKeys()).toEqual(seed.sealingKeys);
      expect(await other.readFingerprintKey()).toEqual(seed.fingerprintKey);
      expect(await other.readPolicies()).toEqual([seed.policy]);
      expect(await other.readEnrolmentTokens()).toEqual(seed.enrolmentTokens);
      await other.close();
      await other.close();
    });

    it('refuses a second site and keeps the first', async () => {
      const store = await (await make()).open();
      await store.createSite(siteSeed());
      const second = { ...siteSeed(), site: { ...siteSeed().site, name: 'Fabrikam' } };
      await expect(store.createSite(second)).rejects.toMatchObject({ code: 'SITE_EXISTS' });
      expect((await store.readSite())?.name).toBe('Contoso');
      await store.close();
    });

    it('takes site documents upwards only, and the same one again silently', async () => {
      const store = await (await make()).open();
      await store.createSite(siteSeed());
      await store.appendSiteDocument(3, 'three');
      await store.appendSiteDocument(3, 'three');
      await expect(store.appendSiteDocument(3, 'other')).rejects.toMatchObject({ code: 'VALUE_INVALID' });
      await expect(store.appendSiteDocument(2, 'two')).rejects.toMatchObject({ code: 'VALUE_INVALID' });
      expect(await store.readSiteDocument()).toEqual({ version: 3, jws: 'three' });
      await store.close();
    });

    it('keeps a data key once, and a wrap for each certificate', async () => {
      const store = await (await make()).open();
      await store.createSite(siteSeed());
      await store.insertDataKey(DATA_KEY);
      await store.insertDataKey(DATA_KEY);
      expect(await store.readDataKeys()).toEqual([DATA_KEY]);
      await store.insertDataKey({ ...DATA_KEY, certificateThumbprint: 'cert-2', wrapped: 'jwe-2' });
      expect((await store.readDataKeys()).map((row) => row.certificateThumbprint)).toEqual([
        'cert-1',
        'cert-2',
      ]);
      await store.close();
    });

    it('takes many wraps at once, keeps those that are there, and none where one has no data key', async () => {
      const store = await (await make()).open();
      await store.createSite(siteSeed());
      const keys = Array.from({ length: 300 }, (_, n) => ({ ...DATA_KEY, dataKeyId: id('misc', 6000 + n) }));
      for (const row of keys.slice(0, 200)) await store.insertDataKey(row);
      const wraps = keys.map((row, n) => ({ ...row, certificateThumbprint: 'cert-2', wrapped: `jwe-${n}` }));
      await expect(store.insertDataKeyWraps(wraps)).rejects.toThrow();
      expect(await store.readDataKeys()).toHaveLength(200);
      for (const row of keys.slice(200)) await store.insertDataKey(row);
      await store.insertDataKeyWraps([{ ...wraps[7]!, wrapped: 'first' }]);
      await store.insertDataKeyWraps(wraps);
      await store.insertDataKeyWraps(wraps);
      await store.insertDataKeyWraps([]);
      const stored = (await store.readDataKeys()).filter((row) => row.certificateThumbprint === 'cert-2');
      expect(stored.map((row) => row.wrapped).sort()).toEqual(
        wraps.map((row, n) => (n === 7 ? 'first' : row.wrapped)).sort(),
      );
      await store.close();
    });

    it('promises durability on every connection', async () => {
      const database = await make();
      const first = await database.open();
      const second = await database.open();
      const reader = await database.open({ readOnly: true });
      for (const store of [first, second, reader]) {
        expect(await store.durability()).toMatchObject({ durable: true });
      }
      if (first.dialect === 'sqlite') {
        expect((await second.durability()).detail).toBe('journal_mode=wal synchronous=FULL');
      }
      for (const store of [first, second, reader]) await store.close();
    });

    it('writes for readiness, and not through a read-only connection', async () => {
      const database = await make();
      const store = await database.open();
      await store.probeWrite('gateway-1');
      await store.probeWrite('gateway-1');
      const reader = await database.open({ readOnly: true });
      await expect(reader.probeWrite('gateway-1')).rejects.toThrow();
      await reader.close();
      await store.close();
    });

    it('opens from several connections at once on a new database', async () => {
      const database = await make();
      const stores = await Promise.all(Array.from({ length: 6 }, () => database.open()));
      await stores[0]!.createSite(siteSeed());
      for (const store of stores) expect((await store.readSite())?.siteGuid).toBe(id('misc', 2));
      await Promise.all(stores.map((store) => store.close()));
    });

    it('refuses to open read-only what is not there', async () => {
      await expect((await make({ schema: false })).open({ readOnly: true })).rejects.toMatchObject({
        code: 'SCHEMA_MISMATCH',
      });
    });

    it('runs on a schema with a newer migration, but not with a newer breaking one', async () => {
      const database = await make();
      const store = await database.open();
      await store.createSite(siteSeed());
      await database.sql(
        `INSERT INTO MPE_Migrations (Number, Breaking, Digest, AppliedAt) VALUES (900, 0, 'x', ${database.time(T0)})`,
      );
      const newer = await database.open();
      expect(await newer.readSite()).not.toBeNull();
      await newer.close();
      await database.sql(
        `INSERT INTO MPE_Migrations (Number, Breaking, Digest, AppliedAt) VALUES (901, 1, 'x', ${database.time(T0)})`,
      );
      await expect(database.open()).rejects.toMatchObject({
        code: 'SCHEMA_MISMATCH',
        facts: { schema: 901 },
      });
      await expect(database.open({ readOnly: true })).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' });
      await store.close();
    });

    it('refuses a schema whose migrations are not the released ones', async () => {
      const database = await make();
      await (await database.open()).close();
      await database.sql("UPDATE MPE_Migrations SET Digest = 'other' WHERE Number = 1");
      await expect(database.open()).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' });
    });

    it('stores names of any script exactly', async () => {
      const store = await (await make()).open();
      await store.createSite({ ...siteSeed(), site: { ...siteSeed().site, name: "GERÄT-ß 🍌 电脑-01 o'x" } });
      expect((await store.readSite())?.name).toBe("GERÄT-ß 🍌 电脑-01 o'x");
      await register(store, 1);
      await store.close();
    });
  });
}
