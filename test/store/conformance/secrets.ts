import { describe, expect, it } from 'vitest';
import { commitGroup } from '../../../src/store/commit/commit-group.js';
import { isDataKeyMissing } from '../../../src/store/data-key-missing.js';
import type { SecretPosition, SiteStore, StoredSecret } from '../../../src/store/site-store.js';
import type { MakeDatabase } from '../conformance.js';
import { candidate, DATA_KEY, hex, id, register, siteSeed, T0, testPlanner } from '../world.js';
import { escrow, send } from './commits.js';

const stored = async (store: SiteStore): Promise<StoredSecret[]> => {
  const all: StoredSecret[] = [];
  for await (const secret of store.streamSecrets()) all.push(secret);
  return all;
};

const positionOf = (secret: StoredSecret): SecretPosition => ({
  secretId: secret.identity.secretId,
  generation: secret.generation,
});

/** Keys, generations, proofs, conflicts. */
export function secretsAndProofs(make: MakeDatabase): void {
  const fresh = async (): Promise<SiteStore> => {
    const store = await (await make()).open();
    await store.createSite(siteSeed());
    await register(store, 1, 2);
    return store;
  };
  const lines = async (store: SiteStore, table: string): Promise<string[]> => {
    const found: string[] = [];
    for await (const line of store.hashLines()) if (line.table === table) found.push(line.columns.join(' '));
    return found;
  };

  describe('secrets', () => {
    it('keeps both passwords of one key id and shows a conflict', async () => {
      const store = await fresh();
      const volumes = (password: string) => [{ volume: 1, protectors: [{ key: 1, password }] }];
      await send(store, [escrow(1, { volumes: volumes('one') })]);
      expect(await store.findKeys(id('key', 1), 10)).toMatchObject([{ conflict: false }]);
      await send(store, [escrow(2, { volumes: volumes('two') })]);
      expect(await store.findKeys(id('key', 1), 10)).toMatchObject([{ conflict: true, readable: true }]);
      expect(await stored(store)).toHaveLength(2);
      await store.close();
    });

    it('stores a key once for two clients, with a proof each: a moved disk', async () => {
      const store = await fresh();
      const volumes = [{ volume: 1, protectors: [{ key: 1, password: 'one' }] }];
      await send(store, [escrow(1, { volumes })]);
      await send(store, [escrow(2, { client: 2, volumes })], { atMs: T0 + 60_000 });
      expect(await store.counts()).toMatchObject({ keys: 1, secrets: 1 });
      expect(await lines(store, 'proofs')).toHaveLength(2);
      const [key] = await store.findKeys(id('key', 1), 10);
      expect(key?.holders).toEqual([
        { clientId: id('client', 2), machineName: 'PC2', current: true, reportedAtMs: T0 + 60_000 },
        { clientId: id('client', 1), machineName: 'PC1', current: true, reportedAtMs: T0 },
      ]);
      await store.close();
    });

    it('keeps two protectors of one volume apart', async () => {
      const store = await fresh();
      const protectors = [
        { key: 1, password: 'one' },
        { key: 2, password: 'two', package: 'package' },
      ];
      await send(store, [escrow(1, { volumes: [{ volume: 1, protectors }] })]);
      const found = await store.findKeys('8637036E', 10);
      expect(found.map((key) => [key.keyId, key.hasPackage, key.readable, key.conflict])).toEqual([
        [id('key', 1), false, true, false],
        [id('key', 2), true, true, false],
      ]);
      await store.close();
    });

    it('takes a proof from a sent secret alone, never from a reported key id', async () => {
      const store = await fresh();
      await send(store, [escrow(1)]);
      // Client 2 names the key without sending it.
      const claim = escrow(2, { client: 2, volumes: [{ volume: 1, protectors: [{ key: 1 }] }] });
      await send(store, [claim]);
      expect(await lines(store, 'proofs')).toHaveLength(1);
      const pair = `${id('volume', 1)}/${id('key', 1)}`;
      const [one, two] = await store.classify([candidate(escrow(1)), candidate(claim)]);
      expect([...one!.readable]).toEqual([pair]);
      expect([...one!.unreadable]).toEqual([]);
      expect([...two!.readable]).toEqual([]);
      expect([...two!.unreadable]).toEqual([pair]);
      expect((await store.findKeys(id('key', 1), 10))[0]?.holders.map((holder) => holder.clientId)).toEqual([
        id('client', 1),
      ]);
      await store.close();
    });

    it('gives a damaged generation a successor when the key comes again, once', async () => {
      const store = await fresh();
      await send(store, [escrow(1)]);
      const [first] = await stored(store);
      await store.markDamaged(first!.identity.secretId, 1, 'does not open', T0);
      await store.markDamaged(first!.identity.secretId, 1, 'again', T0);
      expect(await store.counts()).toMatchObject({ damagedSecrets: 1 });
      const pair = `${id('volume', 1)}/${id('key', 1)}`;
      const [facts] = await store.classify([candidate(escrow(1))]);
      expect(facts!.healthy.size).toBe(0);
      expect([...facts!.unreadable]).toEqual([pair]);
      expect(await store.findKeys(id('key', 1), 10)).toMatchObject([{ readable: false }]);
      const again = (message: number) =>
        escrow(message, { volumes: [{ volume: 1, protectors: [{ key: 1, password: 'password 1' }] }] });
      await send(store, [again(2)]);
      await send(store, [again(3)]);
      expect((await stored(store)).map((secret) => [secret.generation, secret.damaged])).toEqual([
        [1, true],
        [2, false],
      ]);
      expect(await store.counts()).toMatchObject({ keys: 1, secrets: 2, damagedSecrets: 0 });
      await expect(store.markDamaged(first!.identity.secretId, 9, 'x', T0)).rejects.toMatchObject({
        code: 'VALUE_INVALID',
      });
      await store.close();
    });

    it('races a plan that takes a secret for healthy after it was damaged', async () => {
      const store = await fresh();
      await send(store, [escrow(1)]);
      const message = candidate(
        escrow(2, { volumes: [{ volume: 1, protectors: [{ key: 1, password: 'password 1' }] }] }),
      );
      const [facts] = await store.classify([message]);
      const decision = await testPlanner()(message, facts!);
      if (decision.kind !== 'write') throw new Error('the planner did not write');
      expect(decision.plan.secrets).toEqual([]);
      await store.markDamaged(message.secrets[0]!.secretId, 1, 'does not open', T0);
      expect(await store.apply([decision.plan])).toEqual([{ kind: 'raced' }]);
      expect(await store.findOutcome(message.clientId, message.messageId)).toBeNull();
      await store.close();
    });

    it('seals a successor of a plain generation once the site has a data key, and takes no plain one any more', async () => {
      const store = await fresh();
      await send(store, [escrow(1)]);
      expect(await store.countPlainSecrets()).toBe(1);
      await store.insertDataKey(DATA_KEY);
      const again = (message: number) =>
        escrow(message, { volumes: [{ volume: 1, protectors: [{ key: 1, password: 'password 1' }] }] });
      expect((await store.classify([candidate(again(2))]))[0]?.healthy.size).toBe(0);
      // A worker that has not seen the certificate yet gets nothing in: it tries again later.
      expect(await send(store, [again(2)])).toEqual(['transient']);
      expect(await send(store, [escrow(3)])).toEqual(['transient']);
      expect(await send(store, [again(2)], { dataKeyId: DATA_KEY.dataKeyId })).toEqual(['COMMITTED']);
      expect((await stored(store)).map((secret) => secret.content.form)).toEqual(['PLAIN', 'SEALED']);
      expect(await store.countPlainSecrets()).toBe(0);
      // The plain one stays readable for people.
      expect(await store.findKeys(id('key', 1), 10)).toMatchObject([{ readable: true }]);
      await store.close();
    });

    it('refuses a ciphertext under a data key that it does not hold, and says that no message is at fault', async () => {
      const store = await fresh();
      const tpm = { client: 1, message: 2, sequence: 2, tpm: 'owner 1' };
      for (const one of [escrow(1), tpm]) {
        const retries: unknown[] = [];
        const [result] = await commitGroup(
          store,
          [candidate(one)],
          testPlanner({ dataKeyId: id('misc', 77) }),
          { pause: () => Promise.resolve(), maxTransient: 0, onRetry: (_, error) => retries.push(error) },
        );
        expect(result).toMatchObject({ kind: 'transient' });
        expect(retries.map(isDataKeyMissing)).toEqual([true]);
      }
      expect(await store.counts()).toMatchObject({ keys: 0, secrets: 0, outcomes: 0 });
      await store.close();
    });

    it('keeps TPM owner authorizations in generations of their own', async () => {
      const store = await fresh();
      const tpm = (message: number, value: string) => ({ client: 1, message, sequence: message, tpm: value });
      expect(await send(store, [tpm(1, 'owner 1')])).toEqual(['COMMITTED']);
      expect(await send(store, [tpm(2, 'owner 1')])).toEqual(['COMMITTED']);
      expect(await send(store, [tpm(3, 'owner 2')])).toEqual(['COMMITTED']);
      const all = await stored(store);
      expect(all.map((secret) => [secret.identity.kind, secret.identity.keyId, secret.generation])).toEqual([
        ['TPM_OWNER_AUTH', id('client', 1), 1],
        ['TPM_OWNER_AUTH', id('client', 1), 1],
      ]);
      await store.markDamaged(all[0]!.identity.secretId, 1, 'does not open', T0);
      await send(store, [tpm(4, 'owner 1'), tpm(5, 'owner 2')]);
      expect(await store.counts()).toMatchObject({ keys: 2, secrets: 3, damagedSecrets: 0 });
      expect((await lines(store, 'keys')).every((line) => line.startsWith(`3 ${id('client', 1)} `))).toBe(
        true,
      );
      expect(await lines(store, 'proofs')).toHaveLength(2);
      await store.close();
    });

    it('streams every generation in order of id, over many pages', async () => {
      const store = await fresh();
      const specs = Array.from({ length: 600 }, (_, n) => escrow(n + 1));
      for (let i = 0; i < specs.length; i += 100) await send(store, specs.slice(i, i + 100));
      const ids = (await stored(store)).map((secret) => hex(secret.identity.secretId));
      expect(ids).toHaveLength(600);
      expect(ids).toEqual([...ids].sort());
      expect(new Set(ids).size).toBe(600);
      await store.close();
    });

    it('gives pages in order of id that meet each other, from any position', async () => {
      const store = await fresh();
      const tpm = { client: 1, message: 51, sequence: 51, tpm: 'owner' };
      await send(store, [...Array.from({ length: 50 }, (_, n) => escrow(n + 1)), tpm]);
      const [first] = await stored(store);
      await store.markDamaged(first!.identity.secretId, 1, 'does not open', T0);
      const all = await stored(store);
      expect(await store.secretsPage(null, 1000)).toEqual(all);
      const paged: StoredSecret[] = [];
      for (let after: SecretPosition | null = null; ;) {
        const page: readonly StoredSecret[] = await store.secretsPage(after, 7);
        paged.push(...page);
        if (page.length < 7) break;
        after = positionOf(page[6]!);
      }
      expect(paged).toEqual(all);
      const { secretId } = all[20]!.identity;
      expect(await store.secretsPage({ secretId, generation: 0 }, 1)).toEqual([all[20]]);
      expect(await store.secretsPage({ secretId, generation: 1 }, 1)).toEqual([all[21]]);
      expect(await store.secretsPage({ secretId: Buffer.alloc(32, 0xff), generation: 1 }, 5)).toEqual([]);
      await store.close();
    });

    it('gives what was stored after a place, kinds mixed, leaving nothing out', async () => {
      const store = await fresh();
      const numbers = (from: number, to: number) =>
        Array.from({ length: to - from + 1 }, (_, n) => escrow(from + n));
      const tpm = (message: number) => ({ client: 1, message, sequence: message, tpm: `owner ${message}` });
      const known = new Set<string>();
      const name = (secret: StoredSecret) => `${hex(secret.identity.secretId)}/${secret.generation}`;
      const readOn = async (from: string | null): Promise<string> => {
        for (let place = from; ;) {
          const page = await store.secretsStoredAfter(place, 8);
          expect(page.secrets.length).toBeLessThanOrEqual(8);
          for (const secret of page.secrets) known.add(name(secret));
          place = page.place;
          if (page.secrets.length < 8) return place;
        }
      };
      expect((await store.secretsStoredAfter(null, 8)).secrets).toEqual([]);
      await send(store, numbers(1, 5));
      let place = await readOn(null);
      expect(known.size).toBe(5);
      await send(store, [...numbers(6, 30), tpm(31), tpm(32)]);
      place = await readOn(place);
      expect(known.size).toBe(32);
      // A successor is new as well.
      const [first] = await stored(store);
      await store.markDamaged(first!.identity.secretId, 1, 'does not open', T0);
      await send(store, [...numbers(33, 34)]);
      place = await readOn(place);
      expect(known.size).toBe(34);
      // A place of another database is none.
      for (const foreign of ['', 'x', '900000.900000', place])
        expect((await store.secretsStoredAfter(foreign, 8)).place).toMatch(/./);
      expect((await store.secretsStoredAfter('900000.900000', 100)).secrets).toHaveLength(34);
      await store.close();
    });
  });
}
