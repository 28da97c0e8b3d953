import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { verifySiteDocument } from '../../src/jose/index.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import { openStore } from '../../src/store/open-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { killedEverywhere } from './killed-everywhere.js';
import { Home, type Ran } from './mpe.js';

interface Listed {
  readonly kid: string;
  readonly alg: string;
  readonly state: 'offered' | 'unpublished' | 'restored' | 'retired';
  readonly place: number | null;
}

const RSA = 'RSA-OAEP-256';
const made = new Home();

beforeAll(async () => {
  await made.init('--test-site');
}, 60_000);

const ok = async (home: Home, ...args: readonly string[]): Promise<Ran> => {
  const ran = await home.mpe(args);
  expect(ran.code, `${args.join(' ')}: ${ran.stderr}`).toBe(0);
  return ran;
};

const list = async (home: Home): Promise<Listed[]> =>
  (JSON.parse((await ok(home, 'site-keys', 'list', '--json')).stdout) as { keys: Listed[] }).keys;

const inStore = async <T>(home: Home, work: (store: SiteStore) => Promise<T>): Promise<T> => {
  const store = await openStore({ kind: 'sqlite', path: home.database }, { readOnly: true });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
};

/** What must hold whatever was killed when: clients are offered only what workers open. */
async function assertSound(home: Home): Promise<void> {
  const keys = await openKeyFolder(home.keysDir, 'anyone');
  await inStore(home, async (store) => {
    const document = await verifySiteDocument((await store.readSiteDocument()).jws, keys.rootThumbprint);
    const there = new Set((await store.readSealingKeys()).map((row) => row.kid));
    for (const key of document.sealingKeys) expect(there.has(key.kid)).toBe(true);
    expect(document.sealingKeys.some((key) => key.alg === RSA)).toBe(true);
  });
}

describe('mpe site-keys', () => {
  test('rotate makes one key an algorithm, the new ones first, and again only when told', async () => {
    const home = made.copy();
    const before = await list(home);
    expect(before.map((key) => key.state)).toEqual(['offered', 'offered']);
    const { stdout } = await ok(home, 'site-keys', 'rotate');
    expect(stdout).toContain('Published site document 2');
    const after = await list(home);
    expect(after.map((key) => [key.alg, key.place])).toEqual([
      [RSA, 1],
      ['ECDH-ES+A256KW', 2],
      [RSA, 3],
      ['ECDH-ES+A256KW', 4],
    ]);
    expect(after.slice(2).map((key) => key.kid)).toEqual(before.map((key) => key.kid));
    expect((await ok(home, 'site-keys', 'rotate')).stdout).toContain('offers them already');
    expect(await list(home)).toHaveLength(4);
    await ok(home, 'site-keys', 'rotate', '--alg', RSA, '--again');
    expect(await list(home)).toHaveLength(5);
    await assertSound(home);
  }, 60_000);

  test('retire archives, takes it from document and workers; restore brings it back, offered or not', async () => {
    const home = made.copy();
    const [rsa] = await list(home);
    const kid = rsa?.kid ?? '';
    const refused = await home.mpe(['site-keys', 'retire', '--', kid]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('is the only key for RSA-OAEP-256');
    await ok(home, 'site-keys', 'rotate', '--alg', RSA);
    // An archive needs no private key of the certificate: that stays on the recovery host.
    renameSync(join(home.keysDir, 'recovery'), join(home.keysDir, 'away'));
    expect((await ok(home, 'site-keys', 'retire', '--', kid)).stderr).toContain('quarantine');
    expect((await ok(home, 'site-keys', 'retire', '--', kid)).stdout).toContain('retired already');
    expect((await list(home)).find((key) => key.kid === kid)?.state).toBe('retired');
    await inStore(home, async (store) => {
      expect((await store.readSealingKeys()).map((row) => row.kid)).not.toContain(kid);
      const [archived] = await store.readArchivedSealingKeys();
      expect(archived).toMatchObject({ kid, alg: RSA });
      expect(JSON.stringify(archived)).not.toContain('"d"');
    });
    const without = await home.mpe(['site-keys', 'restore', '--', kid]);
    expect(without.code).toBe(1);
    expect(without.stderr).toContain('KEY_FOLDER_INVALID');
    renameSync(join(home.keysDir, 'away'), join(home.keysDir, 'recovery'));
    // The root may lie elsewhere: workers alone need the key.
    renameSync(join(home.keysDir, 'root'), join(home.keysDir, 'elsewhere'));
    await ok(home, 'site-keys', 'restore', '--', kid);
    expect((await list(home)).find((key) => key.kid === kid)).toMatchObject({
      state: 'restored',
      place: null,
    });
    expect((await home.mpe(['site', 'publish'])).stderr).toContain('root-key.json is missing');
    renameSync(join(home.keysDir, 'elsewhere'), join(home.keysDir, 'root'));
    expect((await ok(home, 'site', 'publish')).stdout).toContain('Nothing to publish');
    await ok(home, 'site-keys', 'restore', '--publish', '--', kid);
    expect((await list(home)).find((key) => key.kid === kid)?.state).toBe('offered');
    await ok(home, 'site-keys', 'retire', '--', kid);
    expect((await list(home)).find((key) => key.kid === kid)?.state).toBe('retired');
    await assertSound(home);
  }, 120_000);

  test('rotate, killed behind every change it makes and run again, makes one key an algorithm and offers it', async () => {
    await killedEverywhere(made, ['site-keys', 'rotate'], {
      between: assertSound,
      finished: async (home) => {
        await assertSound(home);
        const states = (await list(home)).map((key) => key.state);
        expect(states).toEqual(['offered', 'offered', 'offered', 'offered']);
      },
    });
  }, 600_000);

  test('unknown kids and a missing root are refused before anything is written', async () => {
    const home = made.copy();
    for (const verb of ['retire', 'restore'])
      expect((await home.mpe(['site-keys', verb, 'x'.repeat(43)])).code).toBe(1);
    renameSync(join(home.keysDir, 'root'), join(home.keysDir, 'elsewhere'));
    const ran = await home.mpe(['site-keys', 'rotate']);
    expect(ran.stderr).toContain('root/root-key.json is missing');
    expect(await list(home)).toHaveLength(2);
  }, 60_000);
});

describe('mpe site publish', () => {
  test('says what changed, renews what runs out, and else publishes nothing', async () => {
    const home = made.copy();
    expect((await ok(home, 'site', 'publish')).stdout).toContain('Nothing to publish: site document 1');
    expect((await ok(home, 'site', 'publish', '--expires', '20')).stdout).toContain(
      'nothing changed but its life',
    );
    const status = JSON.parse((await home.mpe(['status', '--json'])).stdout) as { problems: string[] };
    expect(status.problems.join('\n')).toContain('the site document expires within 20 days');
    expect((await ok(home, 'site', 'publish')).stdout).toContain('Published site document 3');
    expect((await home.mpe(['site', 'publish', '--expires', '0'])).code).toBe(2);
  }, 60_000);

  test('--new-root: both sign, old folders and old site rows follow', async () => {
    const home = made.copy();
    const old = await openKeyFolder(home.keysDir, 'operator');
    await ok(home, 'site', 'publish', '--new-root');
    const now = await openKeyFolder(home.keysDir, 'operator');
    expect(now.rootThumbprint).not.toBe(old.rootThumbprint);
    expect(existsSync(join(home.keysDir, 'root/root-key-next.json'))).toBe(false);
    const kept = readdirSync(join(home.keysDir, 'root')).map((name) =>
      readFileSync(join(home.keysDir, 'root', name), 'utf8'),
    );
    expect(kept.some((text) => text.includes(old.rootThumbprint))).toBe(true);
    await inStore(home, async (store) => {
      const { jws } = await store.readSiteDocument();
      expect((await verifySiteDocument(jws, old.rootThumbprint)).rootKey.kid).toBe(now.rootThumbprint);
    });
    await ok(home, 'site', 'show');
    await ok(home, 'site-keys', 'rotate', '--alg', RSA);
    await ok(home, 'enrolment-tokens', 'create');
    const status = JSON.parse((await home.mpe(['status', '--json'])).stdout) as { database: { ok: boolean } };
    expect(status.database.ok).toBe(true);
  }, 90_000);

  test('--new-root, killed behind every change it makes: folder and document fit, one new root comes of it unless it was done', async () => {
    const old = (await openKeyFolder(made.keysDir, 'operator')).rootThumbprint;
    const next = (home: Home): boolean => existsSync(join(home.keysDir, 'root/root-key-next.json'));
    const fits = async (home: Home): Promise<readonly [string, number]> => {
      const keys = await openKeyFolder(home.keysDir, 'anyone');
      return inStore(home, async (store) => {
        const { jws } = await store.readSiteDocument();
        const { rootKey, rootChanges } = await verifySiteDocument(jws, keys.rootThumbprint);
        // Who knows the old root alone follows.
        await verifySiteDocument(jws, old);
        return [rootKey.kid, rootChanges?.length ?? 0];
      });
    };
    await killedEverywhere(made, ['site', 'publish', '--new-root'], {
      // Whether it was done already: the same words begin another change then.
      between: async (home) => (await fits(home))[1] === 1 && !next(home),
      finished: async (home, done) => {
        const [root, changes] = await fits(home);
        const now = await openKeyFolder(home.keysDir, 'operator');
        expect([now.rootThumbprint, now.rootKey().kid]).toEqual([root, root]);
        expect(root).not.toBe(old);
        expect(changes).toBe(done === true ? 2 : 1);
        expect(next(home)).toBe(false);
      },
    });
  }, 600_000);
});
