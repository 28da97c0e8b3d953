import { describe, expect, it } from 'vitest';
import type { MakeDatabase, TestDatabase } from '../conformance.js';
import { DATA_KEY, id, register, siteSeed, T0 } from '../world.js';
import { escrow, send } from './commits.js';

/** A stored password as text: a store may give it as text or as its UTF-8 bytes. */
const asText = (value: unknown): unknown => (Buffer.isBuffer(value) ? value.toString('utf8') : value);

/** A row that others refer to may be refused for that before the trigger is asked. */
const REFUSED = /append-only|never deleted|constraint/i;

/** The published names, by queries as people publish them; and tables that only grow. */
export function publishedViews(make: MakeDatabase): void {
  const filled = async (): Promise<TestDatabase> => {
    const database = await make();
    const store = await database.open();
    await store.createSite(siteSeed());
    await register(store, 1, 2);
    const key = (n: number, password: string) => ({ key: n, password });
    await send(store, [escrow(1, { volumes: [{ volume: 1, protectors: [key(1, 'one')] }] })], { atMs: T0 });
    await send(
      store,
      [
        escrow(2, {
          volumes: [
            { volume: 1, protectors: [key(1, 'one'), key(2, 'two')] },
            { volume: 2, type: 'REMOVABLE', protectors: [key(3, 'three')] },
          ],
        }),
      ],
      { atMs: T0 + 1500 },
    );
    // The disk of volume 1 in another machine, with another password for the same key id.
    await send(
      store,
      [escrow(3, { client: 2, volumes: [{ volume: 1, protectors: [key(1, 'one, changed')] }] })],
      { atMs: T0 + 3_600_000 },
    );
    await store.quarantine(
      {
        clientId: id('client', 1),
        messageId: id('message', 50),
        bodyType: 1,
        reason: 'SIGNING_KEY_UNKNOWN',
        kid: 'kid-x',
        sealed: 's',
        attempts: 1,
        firstAtMs: T0,
        lastAtMs: T0,
      },
      10,
    );
    await store.close();
    return database;
  };

  describe('published views', () => {
    it('give the keys of a machine by name', async () => {
      const rows = await (
        await filled()
      ).sql(`
        SELECT m.Name, k.RecoveryKeyId, k.RecoveryKey
        FROM RecoveryAndHardwareCore_Machines m
          JOIN RecoveryAndHardwareCore_Machines_Volumes mv ON m.Id = mv.MachineId
          JOIN RecoveryAndHardwareCore_Keys k ON mv.VolumeId = k.VolumeId
        WHERE m.Name = 'PC1' ORDER BY k.RecoveryKeyId, k.LastUpdateTime`);
      expect(rows.map((row) => [row['RecoveryKeyId'], asText(row['RecoveryKey'])])).toEqual([
        [id('key', 1), 'one'],
        [id('key', 1), 'one, changed'],
        [id('key', 2), 'two'],
        [id('key', 3), 'three'],
      ]);
    });

    it('give volumes with their types', async () => {
      const rows = await (
        await filled()
      ).sql(`
        SELECT vt.TypeName, k.RecoveryKeyId
        FROM RecoveryAndHardwareCore_Keys k
          JOIN RecoveryAndHardwareCore_Volumes v ON k.VolumeId = v.Id
          JOIN RecoveryAndHardwareCore_VolumeTypes vt ON v.VolumeTypeId = vt.Id
        WHERE k.RecoveryKeyId IN ('${id('key', 2)}', '${id('key', 3)}') ORDER BY k.RecoveryKeyId`);
      expect(rows).toEqual([
        { TypeName: 'Operating System Drive', RecoveryKeyId: id('key', 2) },
        { TypeName: 'Removable Data Drive', RecoveryKeyId: id('key', 3) },
      ]);
    });

    it('give the newest row of each key id', async () => {
      const rows = await (
        await filled()
      ).sql(`
        WITH Newest AS (
          SELECT RecoveryKeyId, RecoveryKey, LastUpdateTime,
            ROW_NUMBER() OVER (PARTITION BY RecoveryKeyId ORDER BY LastUpdateTime DESC) AS rn
          FROM RecoveryAndHardwareCore_Keys)
        SELECT RecoveryKeyId, RecoveryKey, LastUpdateTime FROM Newest WHERE rn = 1 ORDER BY RecoveryKeyId`);
      expect({ ...rows[0], RecoveryKey: asText(rows[0]?.['RecoveryKey']) }).toEqual({
        RecoveryKeyId: id('key', 1),
        RecoveryKey: 'one, changed',
        LastUpdateTime: '2026-10-25 01:30:00.000',
      });
      expect(asText(rows[1]?.['RecoveryKey'])).toBe('two');
      expect(rows[1]).toMatchObject({ LastUpdateTime: '2026-10-25 00:30:01.500' });
      expect(rows).toHaveLength(3);
    });

    it('find a key by its first eight characters, in any case', async () => {
      const database = await filled();
      for (const prefix of ['8637036e', '8637036E']) {
        const rows = await database.sql(
          `SELECT RecoveryKeyId FROM RecoveryAndHardwareCore_Keys WHERE RecoveryKeyId LIKE '${prefix}%'`,
        );
        expect(rows).toHaveLength(4);
      }
      const rows = await database.sql(
        `SELECT VolumeId FROM RecoveryAndHardwareCore_Keys WHERE RecoveryKeyId = '${id('key', 3).toUpperCase()}'`,
      );
      expect(rows).toEqual([{ VolumeId: id('volume', 2) }]);
    });

    it('show a key as disclosed from its exposure on', async () => {
      const database = await filled();
      const disclosed = `SELECT RecoveryKeyId, Disclosed FROM RecoveryAndHardwareCore_Keys
                         WHERE Disclosed = 1 ORDER BY RecoveryKeyId`;
      expect(await database.sql(disclosed)).toEqual([]);
      await database.sql(`INSERT INTO MPE_Exposures (ExposureId, KeyId, VolumeId, ExposedAt, Cause, AuditSequence)
        VALUES ('${id('misc', 80)}', '${id('key', 2)}', '${id('volume', 1)}', ${database.time(T0)}, 'DISCLOSED', NULL)`);
      expect(await database.sql(disclosed)).toEqual([{ RecoveryKeyId: id('key', 2), Disclosed: 1 }]);
      const store = await database.open();
      expect(await store.findKeys(id('key', 2), 5)).toMatchObject([{ disclosed: true }]);
      await store.close();
    });

    it('list what is not processed, with its exception', async () => {
      const rows = await (await filled()).sql('SELECT MessageID, Exception FROM MPE_RequestMessages_Instant');
      expect(rows).toEqual([{ MessageID: id('message', 50), Exception: 'SIGNING_KEY_UNKNOWN: kid kid-x' }]);
    });

    it('show no plain text of a sealed key, and NULL for a damaged one', async () => {
      const database = await make();
      const store = await database.open();
      await store.createSite(siteSeed());
      await register(store, 1);
      await store.insertDataKey(DATA_KEY);
      await send(store, [escrow(1)], { dataKeyId: DATA_KEY.dataKeyId });
      const query = 'SELECT RecoveryKey FROM RecoveryAndHardwareCore_Keys';
      expect(Buffer.isBuffer((await database.sql(query))[0]?.['RecoveryKey'])).toBe(true);
      for await (const secret of store.streamSecrets()) {
        await store.markDamaged(secret.identity.secretId, secret.generation, 'does not open', T0);
      }
      expect(await database.sql(query)).toEqual([{ RecoveryKey: null }]);
      await store.close();
    });
  });

  describe('tables that only grow', () => {
    const TABLES = [
      ['MPE_Keys', 'FirstStoredAt'],
      ['MPE_KeySecrets', 'StoredAt'],
      ['MPE_KeyProofs', 'ProvenAt'],
      ['MPE_Volumes', 'FirstSeenAt'],
      ['MPE_ClientKeys', 'RegisteredAt'],
      ['MPE_SiteDocuments', 'StoredAt'],
      ['MPE_FingerprintKeys', 'CreatedAt'],
      ['MPE_TpmOwnerAuths', 'FirstStoredAt'],
      ['MPE_TpmOwnerAuthSecrets', 'StoredAt'],
      ['MPE_TpmOwnerAuthProofs', 'ProvenAt'],
      ['MPE_SecretDamage', 'FoundAt'],
      ['MPE_DataKeys', 'CreatedAt'],
      ['MPE_DataKeyWraps', 'WrappedAt'],
      ['MPE_ClientFlags', 'FlaggedAt'],
      ['MPE_Audit', 'HappenedAt'],
      ['MPE_Exposures', 'ExposedAt'],
    ] as const;

    it('refuse UPDATE and DELETE, row by row', async () => {
      const database = await filled();
      const store = await database.open();
      await send(store, [{ client: 1, message: 60, sequence: 1, tpm: 'owner' }]);
      for await (const secret of store.streamSecrets()) {
        await store.markDamaged(secret.identity.secretId, secret.generation, 'x', T0);
      }
      await store.insertDataKey(DATA_KEY);
      await database.sql(`INSERT INTO MPE_Exposures (ExposureId, KeyId, VolumeId, ExposedAt, Cause, AuditSequence)
        VALUES ('${id('misc', 80)}', '${id('key', 2)}', '${id('volume', 1)}', ${database.time(T0)}, 'DISCLOSED', NULL)`);
      const blob = database.bytes('00'.repeat(32));
      await database.sql(`INSERT INTO MPE_Audit (Sequence, HappenedAt, Source, Result, HelpdeskUser, EndUser, Machine,
        KeyType, KeyId, Reason, Ticket, Detail, PreviousHash, Hash)
        VALUES (1, ${database.time(T0)}, '', 'Successful', '', '', '', '', '', '', '', '', ${blob}, ${blob})`);
      for (const [table, column] of TABLES) {
        expect(await database.sql(`SELECT ${column} FROM ${table}`), table).not.toEqual([]);
        await expect(database.sql(`UPDATE ${table} SET ${column} = ${column}`), table).rejects.toThrow(
          'append-only',
        );
        await expect(database.sql(`DELETE FROM ${table}`), table).rejects.toThrow(REFUSED);
      }
      await expect(database.sql('DELETE FROM MPE_Clients')).rejects.toThrow(REFUSED);
      await database.sql('UPDATE MPE_Clients SET Epoch = 5');
      await expect(database.sql('UPDATE MPE_Clients SET Epoch = 4')).rejects.toThrow('only goes up');
      await expect(database.sql('UPDATE MPE_Outcomes SET Disposition = 0')).rejects.toThrow('only moves up');
      await expect(database.sql('UPDATE MPE_Reports SET Sequence = 1')).rejects.toThrow('lower rank');
      await expect(database.sql('UPDATE MPE_AuditHead SET Sequence = 5')).rejects.toThrow('only grows');
      await store.close();
    });
  });
}
