import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { isMpeError } from '../../src/ops/errors.js';
import { createCertificate } from '../../src/secrets/create-certificate.js';
import { openKeyFolder, type KeyFolder, type KeyFolderRole } from '../../src/secrets/key-folder.js';
import { writeKeyFolder } from '../../src/secrets/write-key-folder.js';
import { tempFolder } from '../support/temp.js';
import { NOW, sharedMaterial, testSite, type TestSite } from './site.js';
import { copyWithModes } from '../support/copy-folder.js';

let site: TestSite;

beforeAll(async () => {
  site = await testSite();
}, 120_000);

/** A copy of the site's key folder that a test may spoil. */
function copy(): string {
  const folder = join(tempFolder(), 'keys');
  copyWithModes(site.keysDir, folder);
  return folder;
}

async function refusal(folder: string, role: KeyFolderRole): Promise<string> {
  try {
    await openKeyFolder(folder, role);
  } catch (error) {
    if (isMpeError(error, 'KEY_FOLDER_INVALID')) return error.message;
    throw error;
  }
  return 'opened';
}

/** Every file below a folder with its mode. */
const modes = (folder: string): [string, string][] =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    return [path.slice(folder.length + 1), (statSync(path).mode & 0o777).toString(8)];
  });

describe('a new key folder', () => {
  test('lets its owner alone in, whatever the umask', async () => {
    for (const umask of [0o000, 0o077]) {
      const before = process.umask(umask);
      const folder = join(tempFolder(), 'deep', 'keys');
      try {
        writeKeyFolder(folder, await sharedMaterial(), NOW);
      } finally {
        process.umask(before);
      }
      expect((statSync(folder).mode & 0o777).toString(8)).toBe('700');
      for (const [path, mode] of modes(folder)) {
        expect(mode, path).toBe(path.includes('.') ? '600' : '700');
      }
    }
  });

  test('opens for every role', async () => {
    for (const role of ['worker', 'gateway', 'recovery', 'operator', 'anyone'] as const) {
      expect((await openKeyFolder(site.keysDir, role)).siteGuid).toBe(site.document.siteGuid);
    }
  });

  test('is filled in place where the folder is there and empty', async () => {
    const folder = tempFolder();
    writeKeyFolder(folder, await sharedMaterial(), NOW);
    expect(await refusal(folder, 'operator')).toBe('opened');
  });

  test('is never written over anything', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'mine.txt'), 'x');
    const material = await sharedMaterial();
    expect(() => writeKeyFolder(folder, material, NOW)).toThrow(/not empty, and keys are never overwritten/);
    expect(readdirSync(folder)).toEqual(['mine.txt']);
    const before = readFileSync(join(site.keysDir, 'root/root-key.json'), 'utf8');
    expect(() => writeKeyFolder(site.keysDir, material, NOW)).toThrow(/not empty/);
    expect(readFileSync(join(site.keysDir, 'root/root-key.json'), 'utf8')).toBe(before);
  });
});

describe('a process', () => {
  const roles: readonly KeyFolderRole[] = ['worker', 'gateway', 'recovery', 'operator'];

  test.each(roles)(
    'as %s refuses a folder that is missing, empty or something else, and makes no keys',
    async (role) => {
      const missing = join(tempFolder(), 'keys');
      expect(await refusal(missing, role)).toMatch(/does not exist/);
      expect(existsSync(missing)).toBe(false);
      const empty = tempFolder();
      expect(await refusal(empty, role)).toMatch(/is empty/);
      expect(readdirSync(empty)).toEqual([]);
      const foreign = tempFolder();
      writeFileSync(join(foreign, 'id_rsa'), 'x');
      expect(await refusal(foreign, role)).toMatch(/no key folder of a site/);
      expect(readdirSync(foreign)).toEqual(['id_rsa']);
    },
  );

  test.each([
    ['worker', 'worker/worker-secret.json'],
    ['worker', 'worker/BitLockerManagement_CERT.pem'],
    ['gateway', 'gateway/token-key.json'],
    ['gateway', 'gateway/tls-key.pem'],
    ['gateway', 'gateway/tls-chain.pem'],
    ['gateway', 'gateway/ca.pem'],
    ['recovery', 'recovery/BitLockerManagement_CERT.pem'],
    ['recovery', 'recovery/BitLockerManagement_CERT-key.pem'],
    ['operator', 'root/root-key.json'],
    ['operator', 'ca/ca-key.pem'],
  ] as const)(
    'as %s refuses where %s is missing, empty or damaged, and does not restore it',
    async (role, name) => {
      const folder = copy();
      const path = join(folder, name);
      const text = readFileSync(path, 'utf8');
      rmSync(path);
      expect(await refusal(folder, role)).toContain(`${name} is missing`);
      expect(existsSync(path)).toBe(false);
      writeFileSync(path, '', { mode: 0o600 });
      expect(await refusal(folder, role)).toContain(`${name} is empty`);
      if (name === 'gateway/ca.pem' || name === 'ca/ca-key.pem') return;
      writeFileSync(path, text.slice(0, text.length / 2), { mode: 0o600 });
      const damaged = await refusal(folder, role);
      expect(damaged).not.toBe('opened');
      expect(damaged).not.toContain(text.slice(60, 90));
    },
  );

  test.skipIf(process.platform === 'win32').each([
    ['worker', 'worker/worker-secret.json', 0o640],
    ['worker', 'worker', 0o755],
    ['gateway', 'gateway/token-key.json', 0o604],
    ['gateway', 'gateway/tls-key.pem', 0o644],
    ['gateway', 'gateway', 0o770],
    ['recovery', 'recovery/BitLockerManagement_CERT-key.pem', 0o660],
    ['operator', 'root/root-key.json', 0o644],
    ['operator', 'ca/ca-key.pem', 0o644],
  ] as const)('as %s refuses %s that others may read, and says how to close it', async (role, name, mode) => {
    const folder = copy();
    chmodSync(join(folder, name), mode);
    const text = await refusal(folder, role);
    expect(text).toContain(`${name} can be read by others (mode 0${mode.toString(8)})`);
    expect(text).toContain(`chmod go= ${join(folder, name)}`);
    chmodSync(join(folder, name), name.includes('.') ? 0o600 : 0o700);
    expect(await refusal(folder, role)).toBe('opened');
  });

  test.skipIf(process.platform === 'win32')(
    'a part that others may enter is refused to whoever reads a key in it',
    async () => {
      const folder = copy();
      // As commands open it, that ask for a key when they need it.
      for (const [part, read] of [
        ['root', (keys: KeyFolder) => keys.rootKey()],
        ['worker', (keys: KeyFolder) => keys.workerSecret()],
        ['recovery', (keys: KeyFolder) => keys.certificateKey()],
        ['gateway', (keys: KeyFolder) => keys.tls()],
      ] as const) {
        chmodSync(join(folder, part), 0o777);
        const keys = await openKeyFolder(folder, 'anyone');
        expect(() => read(keys)).toThrow(`${part} can be read by others (mode 0777)`);
        chmodSync(join(folder, part), 0o700);
        expect(read(keys)).toBeTruthy();
      }
    },
  );

  test.skipIf(process.platform === 'win32')(
    'a folder to which everybody may write is refused, a sticky one is not',
    async () => {
      const folder = copy();
      chmodSync(folder, 0o777);
      expect(await refusal(folder, 'anyone')).toContain('everybody may write to it (mode 0777)');
      for (const mode of [0o1777, 0o755]) {
        chmodSync(folder, mode);
        expect(await refusal(folder, 'worker')).toBe('opened');
      }
    },
  );

  test('starts with its own part of the folder alone, and has nothing of the others', async () => {
    for (const role of ['worker', 'gateway', 'recovery'] as const) {
      const part = join(tempFolder(), 'keys');
      mkdirSync(part);
      cpSync(join(site.keysDir, 'site.json'), join(part, 'site.json'));
      copyWithModes(join(site.keysDir, role), join(part, role));
      const folder = await openKeyFolder(part, role);
      expect(() => folder.rootKey()).toThrow(/root-key.json is missing/);
      if (role !== 'worker') expect(() => folder.workerSecret()).toThrow(/is missing/);
      if (role !== 'gateway') expect(() => folder.tokenKey()).toThrow(/is missing/);
      if (role !== 'recovery') expect(() => folder.certificateKey()).toThrow(/is missing/);
    }
  });

  test('refuses keys that do not belong together', async () => {
    const stranger = await createCertificate(NOW);
    const spoil = async (role: KeyFolderRole, name: string, content: string): Promise<string> => {
      const folder = copy();
      writeFileSync(join(folder, name), content, { mode: 0o600 });
      return refusal(folder, role);
    };
    expect(await spoil('worker', 'worker/BitLockerManagement_CERT.pem', stranger.certificatePem)).toMatch(
      /another certificate/,
    );
    expect(await spoil('recovery', 'recovery/BitLockerManagement_CERT-key.pem', stranger.keyPem)).toMatch(
      /private key is not the certificate/,
    );
    const caKey = readFileSync(join(site.keysDir, 'ca/ca-key.pem'), 'utf8');
    expect(await spoil('gateway', 'gateway/tls-key.pem', caKey)).toMatch(
      /private key is not the certificate/,
    );
    const token = readFileSync(join(site.keysDir, 'gateway/token-key.json'), 'utf8');
    expect(await spoil('operator', 'root/root-key.json', token)).toMatch(/not the root key/);
    const { kid } = JSON.parse(token) as { kid: string };
    const relabelled = token.replace(kid, kid.startsWith('_') ? `-${kid.slice(1)}` : `_${kid.slice(1)}`);
    expect(await spoil('gateway', 'gateway/token-key.json', relabelled)).toMatch(/kid that is not its own/);
    const ca = readFileSync(join(site.keysDir, 'ca/ca.pem'), 'utf8');
    expect(await spoil('worker', 'worker/BitLockerManagement_CERT.pem', ca)).toMatch(/has another subject/);
  });
});
