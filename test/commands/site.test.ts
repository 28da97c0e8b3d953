import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseEnrolmentToken } from '../../src/protocol/enrolment-token.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import { openWorkerKeys } from '../../src/secrets/site-check.js';
import { openStore } from '../../src/store/open-store.js';
import { ROOT } from '../support/engine-process.js';
import { Home } from './mpe.js';

/** Every file below a folder with its content. */
function content(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return new Map(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path, readFileSync(path, 'base64')];
    }),
  );
}

/** A site that tests copy. */
const made = new Home();
let site: Readonly<Record<string, string>> = {};

beforeAll(async () => {
  site = await made.init();
});

describe('mpe site init', () => {
  const home = new Home();
  let text = '';

  beforeAll(async () => {
    const { code, stdout, stderr } = await home.mpe([
      'site',
      'init',
      '--name',
      'Zürich',
      '--hostname',
      'mp.example',
    ]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    text = stdout;
  });

  test('makes a site whose keys and database belong together', async () => {
    const keys = await openKeyFolder(home.keysDir, 'operator');
    const store = await openStore({ kind: 'sqlite', path: home.database }, { readOnly: true });
    try {
      const site = await store.readSite();
      expect(site).toMatchObject({
        name: 'Zürich',
        testSite: false,
        siteVersion: '2309',
        siteGuid: keys.siteGuid,
      });
      const worker = await openWorkerKeys(keys, {
        site,
        siteDocumentJws: (await store.readSiteDocument()).jws,
        sealingKeys: await store.readSealingKeys(),
        fingerprintKey: await store.readFingerprintKey(),
      });
      expect(worker.certificate?.thumbprint).toBe(worker.document.certificateThumbprint);
      expect(await store.readPolicies()).toEqual([
        expect.objectContaining({ mode: 'ESCROW', targetTag: null }),
      ]);
    } finally {
      await store.close();
    }
  });

  test('prints the enrolment token once, the root’s thumbprint and what to do next', async () => {
    const tokens = text.match(/mpe1\.\S+/g) ?? [];
    expect(tokens).toHaveLength(1);
    const keys = await openKeyFolder(home.keysDir, 'anyone');
    expect(parseEnrolmentToken(tokens[0] ?? '')).toMatchObject({
      siteGuid: keys.siteGuid,
      rootThumbprint: keys.rootThumbprint,
    });
    for (const part of [keys.rootThumbprint, 'mp.example', 'Back up', 'mpe up', 'mpe status']) {
      expect(text).toContain(part);
    }
  });

  test('keeps the token’s secret nowhere', () => {
    const secret = parseEnrolmentToken(/mpe1\.\S+/.exec(text)?.[0] ?? '').secret;
    for (const [path, base64] of content(home.home)) {
      const bytes = Buffer.from(base64, 'base64');
      expect(bytes.includes(secret), path).toBe(false);
      expect(bytes.includes(secret.toString('base64url')), path).toBe(false);
    }
  });

  test('lets its owner alone into the key folder', () => {
    if (process.platform === 'win32') return;
    expect((statSync(home.keysDir).mode & 0o777).toString(8)).toBe('700');
  });

  test('refuses a second time and changes nothing', async () => {
    const before = content(home.keysDir);
    const again = await home.mpe(['site', 'init']);
    expect(again.code).toBe(1);
    expect(again.stderr).toMatch(/^mpe: SITE_EXISTS: /);
    expect(again.stdout).toBe('');
    expect(content(home.keysDir)).toEqual(before);
  });

  test('refuses to make new keys for a database that holds a site, also where the keys are gone', async () => {
    const other = home.copy();
    rmSync(other.keysDir, { recursive: true });
    const { code, stderr } = await other.mpe(['site', 'init']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^mpe: SITE_EXISTS: /);
    expect(existsSync(other.keysDir)).toBe(false);
  });

  test('refuses a key folder that holds anything, and makes no database', async () => {
    const other = new Home();
    mkdirSync(other.keysDir, { recursive: true });
    writeFileSync(join(other.keysDir, 'notes.txt'), 'mine');
    const { code, stderr } = await other.mpe(['site', 'init']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^mpe: KEY_FOLDER_INVALID: .* not empty/);
    expect(readdirSync(other.keysDir)).toEqual(['notes.txt']);
    expect(existsSync(other.database)).toBe(false);
  });

  test.each([
    ['a bad host name', ['--hostname', 'a b'], {}, 'USAGE'],
    ['an empty name', ['--name', ' '], {}, 'USAGE'],
    ['a shifted clock without --test-site', [], { MPE_TEST_CLOCK_OFFSET: '+5y' }, 'CONFIG_INVALID'],
    ['fixture keys without --test-site', ['--fixture-keys', '/x'], {}, 'USAGE'],
  ])('refuses %s before it makes anything', async (_what, args, settings, code) => {
    const other = new Home();
    const ran = await other.mpe(['site', 'init', ...args], settings);
    expect(ran.code).toBe(2);
    expect(ran.stderr).toMatch(new RegExp(`^mpe: ${code}: `));
    expect(existsSync(other.home)).toBe(false);
  });

  test('by consent to plain text makes no certificate and warns loudly', async () => {
    const other = new Home();
    const { code, stderr, stdout } = await other.mpe(['site', 'init', '--plaintext-consent']);
    expect(code).toBe(0);
    expect(stderr).toContain('PLAIN TEXT');
    expect(stdout).toContain('NONE: keys are stored in plain text');
    expect(existsSync(join(other.keysDir, 'recovery'))).toBe(false);
    expect((await other.mpe(['site', 'show'])).stdout).toContain('PLAIN TEXT');
  });

  test('with fixture keys makes the site of the fixtures', async () => {
    const folder = join(ROOT, 'test', 'fixtures', 'keys');
    const other = new Home();
    const { siteGuid } = await other.init('--test-site', '--fixture-keys', folder);
    const { siteGuid: expected } = JSON.parse(readFileSync(join(folder, 'site.json'), 'utf8')) as Record<
      string,
      string
    >;
    expect(siteGuid).toBe(expected);
    expect((await other.mpe(['secrets', 'verify'])).stdout).toContain('No secret is stored.');
  });

  test('of a test site allows the shifted clock from then on', async () => {
    const other = new Home();
    await other.init('--test-site');
    expect(
      (await other.mpe(['enrolment-tokens', 'list'], { MPE_TEST_CLOCK_OFFSET: '+5y' })).stdout,
    ).toContain('expired');
    const refused = await home.mpe(['enrolment-tokens', 'list'], { MPE_TEST_CLOCK_OFFSET: '+5y' });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('MPE_TEST_CLOCK_OFFSET');
  });
});

describe('mpe site show', () => {
  test('shows the verified document, without and with the key folder; refuses a foreign one', async () => {
    const [home, other] = [made.copy(), new Home()];
    await other.init();
    const shown = await home.mpe(['site', 'show']);
    expect(shown.code).toBe(0);
    for (const part of [
      site['siteGuid'],
      site['certificateThumbprint'],
      'verified',
      'escrow',
      'all clients',
    ]) {
      expect(shown.stdout).toContain(part);
    }
    const foreign = await home.mpe(['site', 'show'], { MPE_KEYS_DIR: other.keysDir });
    expect(foreign.code).toBe(1);
    expect(foreign.stderr).toMatch(/^mpe: SITE_MISMATCH: /);
    rmSync(home.keysDir, { recursive: true });
    const alone = await home.mpe(['site', 'show', '--json']);
    expect(JSON.parse(alone.stdout)).toMatchObject({ site: { siteGuid: site['siteGuid'] }, keyFolder: null });
  });

  test('says that there is no site', async () => {
    const { code, stderr } = await new Home().mpe(['site', 'show']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^mpe: [A-Z_]+: /);
  });
});

describe('mpe enrolment-tokens', () => {
  test('makes, lists and revokes tokens; the list shows no secret', async () => {
    const home = made.copy();
    const { siteGuid } = site;
    const answer = await home.mpe([
      'enrolment-tokens',
      'create',
      '--uses',
      '5',
      '--days',
      '2',
      '--tag',
      'lab',
      '--json',
    ]);
    const { tokenId, enrolmentToken } = JSON.parse(answer.stdout) as {
      tokenId: string;
      enrolmentToken: string;
    };
    expect(parseEnrolmentToken(enrolmentToken).siteGuid).toBe(siteGuid);

    const list = async (): Promise<{ tokenId: string; state: string; usesLeft: number; tag: string }[]> => {
      const { stdout } = await home.mpe(['enrolment-tokens', 'list', '--json']);
      expect(stdout).not.toContain(parseEnrolmentToken(enrolmentToken).secret.toString('base64url'));
      return JSON.parse(stdout) as never;
    };
    expect(await list()).toContainEqual(
      expect.objectContaining({ tokenId, state: 'usable', usesLeft: 5, tag: 'lab' }),
    );
    expect((await home.mpe(['enrolment-tokens', 'revoke', tokenId.toUpperCase()])).code).toBe(0);
    expect((await list()).find((token) => token.tokenId === tokenId)?.state).toBe('revoked');
    const unknown = await home.mpe(['enrolment-tokens', 'revoke', siteGuid ?? '']);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('there is no token');
  });
});
