import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { verifySiteDocument } from '../../src/jose/index.js';
import { systemClock } from '../../src/ops/clock.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import type { SiteChange } from '../../src/site/open-site.js';
import { renewGatewayTls } from '../../src/site/renew-tls.js';
import { retireSealingKey } from '../../src/site/retire.js';
import { changeRoot, finishRootChange } from '../../src/site/root-change.js';
import { rotateSealingKeys } from '../../src/site/rotate.js';
import { rotateTokenKey } from '../../src/site/rotate-token-key.js';
import { openStore } from '../../src/store/open-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { Home } from './mpe.js';

/** Two operators change the same thing of the same site at once, with one key folder. */
const made = new Home();
const RSA = 'RSA-OAEP-256';

beforeAll(async () => {
  await made.init('--test-site');
});

async function open(home = made.copy()): Promise<SiteChange & { readonly home: Home }> {
  const store = await openStore({ kind: 'sqlite', path: home.database });
  onTestFinished(() => store.close());
  return { home, store, clock: systemClock(), keyFolder: await openKeyFolder(home.keysDir, 'anyone') };
}

const documentOf = async ({ store, keyFolder }: SiteChange) =>
  verifySiteDocument((await store.readSiteDocument()).jws, keyFolder.rootThumbprint);

/** A store of which one operation is another. */
function having<T extends keyof SiteStore>(store: SiteStore, name: T, work: SiteStore[T]): SiteStore {
  return new Proxy(store, {
    get: (target, key) => {
      const value: unknown = key === name ? work : Reflect.get(target, key);
      return typeof value === 'function' ? (value as (...args: never[]) => unknown).bind(target) : value;
    },
  });
}

describe('two operators at once', () => {
  test('who retire a key each leave clients one that every client can use', async () => {
    const change = await open();
    await rotateSealingKeys(change, { algs: [RSA] });
    const kids = (await documentOf(change)).sealingKeys
      .filter((key) => key.alg === RSA)
      .map((key) => key.kid);
    expect(kids).toHaveLength(2);
    // Both have looked before either publishes.
    let arrived = 0;
    let go = (): void => undefined;
    const both = new Promise<void>((resolve) => (go = resolve));
    const store = having(change.store, 'archiveSealingKey', async (row) => {
      arrived += 1;
      if (arrived === 2) go();
      await both;
      return change.store.archiveSealingKey(row);
    });
    const results = await Promise.allSettled(kids.map((kid) => retireSealingKey({ ...change, store }, kid)));
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const { sealingKeys } = await documentOf(change);
    const left = sealingKeys.filter((key) => key.alg === RSA).map((key) => key.kid);
    expect(left).toHaveLength(1);
    // And workers open what is offered.
    expect((await change.store.readSealingKeys()).map(({ kid }) => kid)).toContain(left[0]);
  });

  test('who change the root go on with one next key; a kill after publishing loses none', async () => {
    const change = await open();
    const store = having(change.store, 'appendSiteDocument', async (version, jws) => {
      await change.store.appendSiteDocument(version, jws);
      throw new Error('killed here');
    });
    const results = await Promise.allSettled([
      changeRoot({ ...change, store }),
      changeRoot({ ...change, store }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await finishRootChange(change)).toBe(true);
    const now = await openKeyFolder(change.home.keysDir, 'operator');
    expect((await documentOf({ ...change, keyFolder: now })).rootKey.kid).toBe(now.rootKey().kid);
  });

  test('who finish one root change do it once', async () => {
    const change = await open();
    const { keysDir } = change.home;
    const store = having(change.store, 'appendSiteDocument', async (version, jws) => {
      await change.store.appendSiteDocument(version, jws);
      throw new Error('killed here');
    });
    await expect(changeRoot({ ...change, store })).rejects.toThrow('killed here');
    const ran = await change.home.mpe(['site', 'publish', '--new-root', '--json']);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    // The same call again finishes what was killed: no third root.
    const { version, root } = JSON.parse(ran.stdout) as { version: number; root: string };
    expect(version).toBe(2);
    expect((await openKeyFolder(keysDir, 'operator')).rootThumbprint).toBe(root);
    expect(existsSync(join(keysDir, 'root/root-key-next.json'))).toBe(false);
  });

  test('who rotate the token key while another does from beginning to end are told of that one’s key', async () => {
    const change = await open();
    let read = (): void => undefined;
    const hasRead = new Promise<void>((resolve) => (read = resolve));
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const store = having(change.store, 'readSiteDocument', async () => {
      const row = await change.store.readSiteDocument();
      read();
      await finished;
      return row;
    });
    const late = rotateTokenKey({ ...change, store }, { again: false });
    await hasRead;
    const first = await rotateTokenKey(change, { again: false });
    finish();
    expect(await late).toEqual({ ...first, changed: false });
  });

  test('who rotate the token key, or renew TLS, both succeed, and what lies there fits', async () => {
    const change = await open();
    const rotated = await Promise.all([
      rotateTokenKey(change, { again: false }),
      rotateTokenKey(change, { again: false }),
    ]);
    expect(rotated[0].kid).toBe(rotated[1].kid);
    await Promise.all([renewGatewayTls(change, { names: null }), renewGatewayTls(change, { names: null })]);
    const now = await openKeyFolder(change.home.keysDir, 'gateway');
    const named = (await documentOf(change)).tokenKeys.map((key) => key.kid);
    expect(named).toHaveLength(2);
    expect(named).toContain(now.tokenKey().kid);
    for (const name of ['token-key-next.json', 'tls-key-next.pem'])
      expect(existsSync(join(change.home.keysDir, 'gateway', name))).toBe(false);
  });
});
