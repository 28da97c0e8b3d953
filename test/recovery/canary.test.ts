import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MpeError } from '../../src/ops/errors.js';
import { newGuid } from '../../src/protocol/guid.js';
import { parseRecoveryPassword } from '../../src/protocol/recovery-password.js';
import { SecretWalk } from '../../src/recovery/secret-walk.js';
import { SENTINEL_MADE_BY, sentinelOf, sentinelRow } from '../../src/recovery/sentinel.js';
import { signSiteDocument } from '../../src/jose/index.js';
import { checkSite } from '../../src/secrets/site-check.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { copyWithModes } from '../support/copy-folder.js';
import { tempFolder } from '../support/temp.js';
import { password } from '../workers/support.js';
import { Vault } from './support.js';

const NOTHING_BAD = { marked: 0, held: 0, waiting: 0, undecryptable: 0 };

/** The store with some of its methods replaced. */
function withMethods(store: SiteStore, methods: Partial<SiteStore>): SiteStore {
  return new Proxy(store, {
    get: (target, name) => Reflect.get(methods, name) ?? Reflect.get(target, name, target),
  });
}

describe('a site whose secrets open', () => {
  test('is fine round after round, and gets one sentinel that no published view shows', async () => {
    const vault = await Vault.create();
    await vault.commit(
      ...(await vault.passwords(1, 20)),
      await vault.sealed('KEY_PACKAGE', randomBytes(300)),
      await vault.sealed('TPM_OWNER_AUTH', randomBytes(20)),
    );
    const canary = await vault.canary();
    expect(await canary.ready('canary')).toMatch(/^not ready: no round/);
    for (let i = 0; i < 2; i += 1)
      expect(await canary.round()).toEqual({ result: 'fine', opened: 22, ...NOTHING_BAD });
    const again = await vault.canary();
    await again.round();
    const rows = await vault.store.readDataKeys();
    expect(rows.filter((row) => row.createdBy === SENTINEL_MADE_BY)).toHaveLength(1);
    expect(rows).toHaveLength(2);
    expect(await vault.store.counts()).toMatchObject({ keys: 22, secrets: 22, damagedSecrets: 0 });
    for (const check of ['certificate', 'canary', 'secrets'] as const)
      expect(await canary.ready(check)).toBe('ready: ok');
    expect(await canary.metrics()).toMatch(/^mpe_canary_data_keys\{state="good"\} 2$/m);
  });

  test('has its new secrets and new data keys opened in the next round, however small the sample', async () => {
    const vault = await Vault.create();
    await vault.commit(...(await vault.passwords(1, 300)));
    const canary = await vault.canary({ sample: 1 });
    await canary.round();
    vault.ring = vault.newRing();
    const fresh = await vault.passwords(301, 700);
    await vault.commit(...fresh);
    vault.damage(fresh[7]!, fresh[350]!);
    expect(await canary.round()).toMatchObject({ marked: 2, undecryptable: 2 });
    const metrics = await canary.metrics();
    expect(metrics).toMatch(/^mpe_canary_data_keys\{state="good"\} 3$/m);
    // The first round begins with the newest, which are all of them here.
    expect(metrics).toMatch(/^mpe_canary_opened_total\{pass="new"\} 700$/m);
  });

  test('is fine although a data key appears in the middle of a round', async () => {
    const vault = await Vault.create();
    await vault.commit(...(await vault.passwords(1, 5)));
    let late = true;
    const store = withMethods(vault.store, {
      secretsStoredAfter: async (...args) => {
        if (late) {
          late = false;
          vault.ring = vault.newRing();
          await vault.commit(...(await vault.passwords(6, 10)));
        }
        return vault.store.secretsStoredAfter(...args);
      },
    });
    const canary = await vault.canary({ store });
    expect(await canary.round()).toMatchObject({ result: 'fine', waiting: 0 });
  });
});

describe('a damaged secret', () => {
  test('is marked, counted and named without its content; a successor ends the alarm', async () => {
    const vault = await Vault.create();
    const secrets = await vault.passwords(1, 50);
    await vault.commit(...secrets);
    const bad = secrets[20]!;
    vault.damage(bad);
    const canary = await vault.canary();
    expect(await canary.round()).toMatchObject({ result: 'fine', marked: 1, undecryptable: 1 });
    const metrics = await canary.metrics();
    expect(metrics).toMatch(/^mpe_undecryptable_secrets 1$/m);
    expect(metrics).toMatch(/^mpe_canary_marked_total\{reason="CIPHERTEXT_DAMAGED"\} 1$/m);
    expect(metrics).toMatch(/^mpe_canary_alarm\{alarm="UNDECRYPTABLE"\} 1$/m);
    expect(await canary.ready('secrets')).toMatch(/^ready: 1 stored secrets cannot be read/);
    expect(await canary.ready('canary')).toBe('ready: ok');
    const line = vault.site.lines.find((one) => one['event'] === 'canary.secret_damaged');
    expect(line).toMatchObject({ level: 'error', keyId: bad.identity.keyId, generation: 1 });
    expect(JSON.stringify(vault.site.lines)).not.toContain(password(21));

    await canary.round();
    expect(vault.site.lines.filter((one) => one['event'] === 'canary.secret_damaged')).toHaveLength(1);
    await vault.commit({
      identity: bad.identity,
      content: await vault.ring!.encrypt(bad.identity, Buffer.from(password(21))),
    });
    expect(await canary.round()).toMatchObject({ result: 'fine', marked: 0, undecryptable: 0 });
    expect(await canary.ready('secrets')).toBe('ready: ok');
    expect(await canary.metrics()).toMatch(/^mpe_canary_alarm\{alarm="UNDECRYPTABLE"\} 0$/m);
  });

  test('of long ago is found by the rolling sample within one pass', async () => {
    const vault = await Vault.create();
    const secrets = await vault.passwords(1, 300);
    await vault.commit(...secrets);
    const canary = await vault.canary({ sample: 50 });
    await canary.round();
    vault.damage(secrets[123]!);
    let rounds = 0;
    for (; (await vault.store.counts()).damagedSecrets === 0 && rounds < 20; rounds += 1)
      await canary.round();
    expect(rounds).toBeLessThanOrEqual(7);
  });

  test('is one that was moved, swapped, or encrypted as another value', async () => {
    const vault = await Vault.create();
    const [moved, donor] = await vault.passwords(1, 2);
    const text = Buffer.from(password(3));
    const other = parseRecoveryPassword(password(4)).bytes;
    const differs = await vault.sealed('RECOVERY_PASSWORD', text, other);
    const noPassword = await vault.sealed('RECOVERY_PASSWORD', Buffer.from('MIAGCSqGSIb3DQEHA6CAMIACAQAx'));
    // Two passwords of one key id and volume: the place is the same, the value decides.
    const ids = [newGuid(), newGuid()];
    const twins = await Promise.all(
      [5, 6].map((n) =>
        vault.sealed(
          'RECOVERY_PASSWORD',
          Buffer.from(password(n)),
          parseRecoveryPassword(password(n)).bytes,
          ids,
        ),
      ),
    );
    const write = { ...moved!, content: donor!.content };
    const swapped = { ...twins[0]!, content: twins[1]!.content };
    await vault.commit(donor!, write, differs, noPassword, swapped, twins[1]!);
    const canary = await vault.canary();
    expect(canary.fingerprints).toBe(true);
    expect(await canary.round()).toMatchObject({ marked: 4, undecryptable: 4 });
    const readable = async (keyId: string): Promise<unknown> =>
      (await vault.store.findKeys(keyId, 5)).map((key) => key.readable);
    expect(await readable(donor!.identity.keyId)).toEqual([true]);
    expect(await readable(differs.identity.keyId)).toEqual([false]);
  });

  test('is found on a host without the worker secret, by form where the fingerprint cannot tell', async () => {
    const vault = await Vault.create();
    const [good, damaged] = await vault.passwords(1, 2);
    const noPassword = await vault.sealed('RECOVERY_PASSWORD', Buffer.from('MIAGCSqGSIb3DQEHA6CAMIACAQAx'));
    await vault.commit(good!, damaged!, noPassword);
    vault.damage(damaged!);
    const keysDir = join(tempFolder(), 'keys');
    copyWithModes(vault.keysDir, keysDir);
    for (const part of ['worker', 'gateway', 'root', 'ca'])
      rmSync(join(keysDir, part), { recursive: true, force: true });
    const canary = await vault.canary({ keysDir });
    expect(canary.fingerprints).toBe(false);
    expect(await canary.round()).toMatchObject({ result: 'fine', marked: 2, undecryptable: 2 });
  });

  test('that opens when read again is not marked', async () => {
    const vault = await Vault.create();
    await vault.commit(...(await vault.passwords(1, 3)));
    const store = withMethods(vault.store, {
      secretsStoredAfter: async (...args) => {
        const page = await vault.store.secretsStoredAfter(...args);
        for (const { content } of page.secrets.slice(0, 1)) content.bytes[20]! ^= 1;
        return page;
      },
    });
    const canary = await vault.canary({ store });
    expect(await canary.round()).toMatchObject({ marked: 0, undecryptable: 0 });
    expect(vault.site.lines.some((line) => line['event'] === 'canary.unsteady')).toBe(true);
  });
});

describe('nothing is marked', () => {
  test('where the site document names another certificate', async () => {
    const vault = await Vault.create();
    const secrets = await vault.passwords(1, 5);
    await vault.commit(...secrets);
    vault.damage(...secrets);
    const { jws, version } = await vault.store.readSiteDocument();
    const site = await vault.store.readSite();
    const document = await checkSite(vault.site.keyFolder, site, jws);
    let current = document;
    const canary = await vault.canary({ readDocument: () => Promise.resolve(current) });
    current = { ...document, version: version + 1, certificateThumbprint: 'ab'.repeat(32) };
    await signSiteDocument(current, vault.site.keyFolder.rootKey());
    expect(await canary.round()).toMatchObject({ result: 'alarm', opened: 0, marked: 0 });
    expect(await canary.ready('certificate')).toMatch(/^not ready: the site document names/);
    expect((await vault.store.counts()).damagedSecrets).toBe(0);
    current = document;
    expect(await canary.round()).toMatchObject({ marked: 5 });
    expect(await canary.ready('certificate')).toBe('ready: ok');
  });

  test('where the sentinel does not open or is something else', async () => {
    const vault = await Vault.create();
    const secrets = await vault.passwords(1, 5);
    await vault.commit(...secrets);
    const canary = await vault.canary();
    await canary.round();
    vault.damage(...secrets);
    const { siteGuid, keyFolder } = vault.site;
    const certificate = keyFolder.certificate()!;
    const { dataKeyId } = sentinelOf(siteGuid, certificate.thumbprint);
    const good = (await vault.store.readDataKeys()).find((row) => row.dataKeyId === dataKeyId)!.wrapped;
    const put = (wrapped: string): void =>
      vault.sql('UPDATE MPE_DataKeyWraps SET Wrapped = ? WHERE DataKeyId = ?', wrapped, dataKeyId);
    const foreign = await sentinelRow(newGuid(), certificate, 1);
    for (const wrapped of [good.slice(0, -8), 'x', foreign.wrapped]) {
      put(wrapped);
      expect(await canary.round()).toMatchObject({ result: 'alarm', opened: 0, marked: 0 });
      expect(await canary.ready('certificate')).toMatch(/^not ready: the sentinel/);
    }
    put(good);
    expect(await canary.round()).toMatchObject({ marked: 5 });
  });

  test('under a data key that does not open; the others are looked after, and it heals', async () => {
    const vault = await Vault.create();
    const first = await vault.passwords(1, 10);
    await vault.commit(...first);
    vault.ring = vault.newRing();
    const second = await vault.passwords(11, 20);
    await vault.commit(...second);
    const { content } = first[0]!;
    const id = content.form === 'SEALED' ? content.dataKeyId : newGuid();
    const canary = await vault.canary();
    await canary.round();
    const good = (await vault.store.readDataKeys()).find((row) => row.dataKeyId === id)!.wrapped;
    const put = (wrapped: string): void =>
      vault.sql('UPDATE MPE_DataKeyWraps SET Wrapped = ? WHERE DataKeyId = ?', wrapped, id);
    // Noticed although the key was opened before and is in memory.
    put(`${good.slice(0, -8)}AAAAAAAA`);
    vault.damage(second[3]!);
    expect(await canary.round()).toMatchObject({ result: 'alarm', marked: 1, waiting: 10, undecryptable: 1 });
    expect(await canary.ready('canary')).toMatch(/^not ready: 1 data keys do not open: .*DATA_KEY_DAMAGED/);
    expect(await canary.metrics()).toMatch(/^mpe_canary_data_keys\{state="failing"\} 1$/m);
    put(good);
    expect(await canary.round()).toMatchObject({ result: 'fine', waiting: 0 });
    expect(await canary.ready('canary')).toBe('ready: ok');
  });

  test('where a large share of a round fails; a small share is', async () => {
    const vault = await Vault.create();
    const secrets = await vault.passwords(1, 400);
    await vault.commit(...secrets);
    vault.damage(...secrets.slice(0, 120));
    const canary = await vault.canary();
    for (let i = 0; i < 2; i += 1) {
      expect(await canary.round()).toMatchObject({ result: 'alarm', marked: 0, held: 120, undecryptable: 0 });
    }
    expect(await canary.ready('canary')).toMatch(/^not ready: 120 of 400 secrets of this round/);
    // Bytes come back (a mount, a memory module): nothing was lost by waiting.
    for (const { identity, content } of secrets.slice(20, 120))
      vault.sql('UPDATE MPE_KeySecrets SET Content = ? WHERE SecretId = ?', content.bytes, identity.secretId);
    expect(await canary.round()).toMatchObject({ result: 'fine', marked: 20, held: 0, undecryptable: 20 });
    expect(await canary.ready('canary')).toBe('ready: ok');
  });

  test.each([
    'readSiteDocument',
    'readDataKeys',
    'secretsStoredAfter',
    'secretsPage',
    'markDamaged',
  ] as const)(
    'by a round in which the database does not answer %s; the next one finds it',
    async (method) => {
      const vault = await Vault.create();
      const secrets = await vault.passwords(1, 5);
      await vault.commit(...secrets);
      let away = false;
      const store = withMethods(vault.store, {
        [method]: (...args: never[]) =>
          away
            ? Promise.reject(new MpeError('STORE_TRANSIENT', 'away'))
            : (vault.store[method] as (...args: never[]) => unknown)(...args),
      });
      const canary = await vault.canary({ store });
      await canary.round();
      vault.damage(secrets[0]!);
      away = true;
      await expect(canary.round()).rejects.toMatchObject({ code: 'STORE_TRANSIENT' });
      expect((await vault.store.counts()).damagedSecrets).toBe(0);
      away = false;
      expect(await canary.round()).toMatchObject({ result: 'fine', marked: 1 });
    },
  );

  test('once the process is ending', async () => {
    const vault = await Vault.create();
    const secrets = await vault.passwords(1, 5);
    await vault.commit(...secrets);
    vault.damage(secrets[0]!);
    const canary = await vault.canary();
    expect(await canary.round(AbortSignal.abort())).toMatchObject({ marked: 0 });
    expect(await canary.round()).toMatchObject({ marked: 1 });
  });
});

describe('open data keys', () => {
  test('are bounded in number and overwritten when they leave', async () => {
    const vault = await Vault.create();
    await vault.commit(...(await vault.passwords(1, 2)));
    const canary = await vault.canary();
    await canary.round();
    const [row] = await vault.store.readDataKeys();
    const held = await canary.keys.dataKey(row!.dataKeyId);
    expect(held.some((byte) => byte !== 0)).toBe(true);
    canary.keys.close();
    expect(held.every((byte) => byte === 0)).toBe(true);
    expect(canary.keys.size).toBe(0);
    await expect(canary.keys.dataKey(row!.dataKeyId)).rejects.toMatchObject({ code: 'SECRET_UNREADABLE' });
  });
});

describe('the walk', () => {
  test.each([1, 7, 50, 199, 200, 201, 450, 5000])('comes by everything, %i a round', async (sample) => {
    const vault = await Vault.create({ plaintextConsent: true });
    await vault.commit(...(await vault.passwords(1, 450)));
    for (const from of [undefined, null] as const) {
      const walk = new SecretWalk(vault.store, from);
      const seen = new Set<string>();
      const needed = Math.ceil(450 / sample) + 1;
      for (let round = 0; round < needed && round < 500; round += 1) {
        const ofRound: string[] = [];
        for await (const { pass, secret } of walk.round(sample, new AbortController().signal))
          if (pass === 'sample') ofRound.push(Buffer.from(secret.identity.secretId).toString('hex'));
        expect(ofRound.length).toBeLessThanOrEqual(sample);
        expect(new Set(ofRound).size).toBe(ofRound.length);
        for (const id of ofRound) seen.add(id);
        walk.settle();
      }
      expect(seen.size).toBe(450);
      expect(walk.wholePasses).toBeGreaterThanOrEqual(from === null ? 1 : 0);
    }
  });
});
