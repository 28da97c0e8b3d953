import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { isSentinelRow } from '../../src/recovery/own-rows.js';
import { createCertificate } from '../../src/secrets/create-certificate.js';
import { SiteContext } from '../../src/workers/site-context.js';
import { systemClock } from '../../src/ops/clock.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import { Vault } from '../recovery/support.js';
import { copyWithModes } from '../support/copy-folder.js';
import { tempFolder } from '../support/temp.js';
import { countSteps, killedBehind, someOf } from '../support/killed-behind.js';
import { MpeProcess, settings } from '../workers/runtime-support.js';

const NO_REDIS = { url: 'redis://127.0.0.1:9' };
const PASSWORD = 'a password of some length';

/** A file that only its owner reads. */
function secretFile(text: string): string {
  const path = join(tempFolder(), 'password');
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
  return path;
}

const start = (vault: Vault, args: readonly string[], more: Record<string, string> = {}): MpeProcess =>
  new MpeProcess(vault.site, NO_REDIS, ['certificate', ...args], more);

async function mpe(
  vault: Vault,
  args: readonly string[],
  more: Record<string, string> = {},
): Promise<{ code: number | null; text: string }> {
  const process = start(vault, args, more);
  await process.ended;
  return { code: process.child.exitCode, text: process.text() };
}

interface Status {
  readonly current: string | null;
  readonly dataKeys: number;
  readonly missing: number;
  readonly plainSecrets: number;
  readonly certificates: readonly {
    readonly thumbprint: string;
    readonly role: string;
    readonly dataKeys: number;
    readonly missing: number;
    readonly removable: boolean;
    readonly warning: string | null;
  }[];
}

async function status(vault: Vault): Promise<Status> {
  const { text } = await mpe(vault, ['status', '--json']);
  return JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) as Status;
}

/** Secrets under as many data keys. */
async function withDataKeys(vault: Vault, count: number): Promise<void> {
  for (let n = 1; n <= count; n += 1) {
    vault.ring = vault.newRing();
    await vault.commit(...(await vault.passwords(n, n)));
  }
}

/** Nothing but whole files of the right mode; drafts of killed processes are cleaned up by the next write. */
function expectWhole(keysDir: string): void {
  for (const part of ['recovery', 'worker']) {
    for (const name of readdirSync(join(keysDir, part))) {
      const { mode, size } = statSync(join(keysDir, part, name));
      expect(size).toBeGreaterThan(0);
      expect(mode & 0o077).toBe(0);
    }
  }
}

describe('a change of certificate', () => {
  test('wraps data keys alone; secrets, sentinel, former key, workers and canary go on', async () => {
    const vault = await Vault.create();
    await withDataKeys(vault, 5);
    const canary = await vault.canary();
    expect(await canary.round()).toMatchObject({ result: 'fine', undecryptable: 0 });
    const worker = await SiteContext.create({
      store: vault.store,
      keyFolder: await openKeyFolder(vault.keysDir, 'worker'),
      clock: systemClock(),
      log: vault.site.log,
      by: 'worker',
    });
    const former = vault.site.keyFolder.certificateThumbprint;
    const secrets = async () => (await vault.store.secretsPage(null, 100)).map(({ content }) => content);
    const before = await secrets();

    expect((await mpe(vault, ['create', '--years', '3'])).text).toContain('Nothing uses it yet');
    expect((await mpe(vault, ['create'])).text).toContain('waits in this key folder already');
    expect(await status(vault)).toMatchObject({ current: former, dataKeys: 5, missing: 0 });

    const rotated = await mpe(vault, ['rotate']);
    expect(rotated.text).toContain('5 of 5 data keys');
    expect(rotated.code).toBe(0);
    const now = await status(vault);
    expect(now).toMatchObject({ dataKeys: 5, missing: 0, plainSecrets: 0 });
    expect(now.current).not.toBe(former);
    expect(now.certificates).toMatchObject([
      { role: 'current', dataKeys: 5, missing: 0 },
      { role: 'former', thumbprint: former, dataKeys: 5, removable: true },
    ]);
    expect(await secrets()).toEqual(before);

    // A worker that has not looked yet still wraps to the former one; the canary makes up for it.
    vault.ring = vault.newRing();
    await vault.commit(...(await vault.passwords(6, 6)));
    expect(await status(vault)).toMatchObject({ dataKeys: 6, missing: 1 });
    await worker.reload();
    expect(worker.current.certificate?.thumbprint).toBe(now.current);
    expect(await canary.round()).toMatchObject({ result: 'fine', undecryptable: 0 });
    expect(await status(vault)).toMatchObject({ dataKeys: 6, missing: 0 });

    // Run again: nothing to do. Without the former key everything still opens.
    expect((await mpe(vault, ['rotate'])).text).toContain('0 of 6 data keys');
    for (const name of ['BitLockerManagement_CERT.pem', 'BitLockerManagement_CERT-key.pem'])
      rmSync(join(vault.keysDir, 'recovery', name));
    const verified = await mpe(vault, ['verify', '--all']);
    expect(verified.text).toContain('6 of 6 stored secrets open');
    expect(verified.code).toBe(0);
    expect(await (await vault.canary()).round()).toMatchObject({ result: 'fine', undecryptable: 0 });
  }, 240_000);

  test('is refused where the former key is not here; nothing is published', async () => {
    const vault = await Vault.create();
    await withDataKeys(vault, 1);
    await mpe(vault, ['create']);
    for (const name of ['BitLockerManagement_CERT.pem', 'BitLockerManagement_CERT-key.pem'])
      rmSync(join(vault.keysDir, 'recovery', name));
    const refused = await mpe(vault, ['rotate']);
    expect(refused.code).toBe(3);
    expect(refused.text).toContain('CERTIFICATE_UNUSABLE');
    expect((await vault.store.readSiteDocument()).version).toBe(1);
  }, 120_000);

  test('stopped by kill -9 at any step and run again: it completes and the counts add up', async () => {
    const vault = await Vault.create();
    // More than one transaction of wraps.
    await withDataKeys(vault, 230);
    await mpe(vault, ['create']);
    const wraps = async (): Promise<number> =>
      (await vault.store.readDataKeys()).filter((row) => !isSentinelRow(vault.site.siteGuid, row)).length;
    const where = { cwd: vault.site.folder, env: settings(vault.site, NO_REDIS) };
    const killed = async (step: number): Promise<boolean> => {
      const result = await killedBehind(step, ['certificate', 'rotate'], where);
      expectWhole(vault.keysDir);
      return result.killed;
    };
    // In the files; in the first transaction of wraps; in the second, and again. Of a transaction all is
    // there, or nothing.
    for (const [step, there] of [
      [1, 230],
      [4, 230],
      [7, 230],
      [120, 230],
      [220, 430],
      [20, 430],
    ] as const) {
      expect(await killed(step), `behind ${step}`).toBe(true);
      expect(await wraps(), `behind ${step}`).toBe(there);
    }
    // Behind each change up to the second COMMIT, then behind each that is left: document, sentinel, files.
    for (let step = 28; (await wraps()) < 460; step += 1) expect(await killed(step)).toBe(true);
    let left = 0;
    while (await killed(left + 1)) left += 1;
    expect(left).toBeGreaterThan(2);
    expect((await mpe(vault, ['rotate'])).code).toBe(0);
    const now = await status(vault);
    expect(now).toMatchObject({ dataKeys: 230, missing: 0 });
    expect(now.certificates.map(({ dataKeys }) => dataKeys)).toEqual([230, 230]);
    expect(await wraps()).toBe(460);
    expectWhole(vault.keysDir);
    expect((await mpe(vault, ['verify', '--all'])).text).toContain('230 of 230 stored secrets open');
  }, 600_000);
});

test('a site in plain text gets a certificate: from then on nothing plain gets in', async () => {
  const vault = await Vault.create({ plaintextConsent: true });
  const [one, two] = await vault.passwords(1, 2);
  await vault.commit(one!);
  const worker = await SiteContext.create({
    store: vault.store,
    keyFolder: await openKeyFolder(vault.keysDir, 'worker'),
    clock: systemClock(),
    log: vault.site.log,
    by: 'worker',
  });
  expect((await worker.encrypt(one!.identity, Buffer.from('x'))).form).toBe('PLAIN');
  await mpe(vault, ['create']);
  expect((await mpe(vault, ['rotate'])).code).toBe(0);
  expect(await status(vault)).toMatchObject({ missing: 0, plainSecrets: 1 });
  await expect(vault.commit(two!)).rejects.toThrow(/raced/);
  await worker.reload();
  expect((await worker.encrypt(one!.identity, Buffer.from('x'))).form).toBe('SEALED');
  expect((await status(vault)).dataKeys).toBe(1);
}, 120_000);

test('the former certificate, taken offline once nothing is missing, is missed by nothing', async () => {
  const vault = await Vault.create();
  await withDataKeys(vault, 2);
  expect(await (await vault.canary()).round()).toMatchObject({ result: 'fine' });
  const file = join(tempFolder(), 'certificate.pem');
  const password = secretFile(PASSWORD);
  expect((await mpe(vault, ['create'])).code).toBe(0);
  expect((await mpe(vault, ['rotate'])).code).toBe(0);
  for (const name of [
    'worker/BitLockerManagement_CERT.pem',
    'recovery/BitLockerManagement_CERT.pem',
    'recovery/BitLockerManagement_CERT-key.pem',
  ])
    rmSync(join(vault.keysDir, name));
  const run = async (...args: readonly string[]): Promise<{ code: number | null; text: string }> => {
    const process = new MpeProcess(vault.site, NO_REDIS, args);
    await process.ended;
    return { code: process.child.exitCode, text: process.text() };
  };
  expect(await run('secrets', 'list')).toMatchObject({ code: 0 });
  const verified = await run('secrets', 'verify');
  expect(verified.text).toContain('Every stored secret opens');
  expect(verified.code).toBe(0);
  expect((await mpe(vault, ['verify', '--all'])).code).toBe(0);
  const doctor = await run('doctor');
  expect(doctor.text).toMatch(/^ok +key folder/m);
  expect(doctor.text).toMatch(/^ok +keys and database +data keys: 3 data keys open/m);
  expect((await mpe(vault, ['backup', file, '--password-file', password])).code).toBe(0);

  // And the one that the site needs now is missed, by its name.
  const later = readdirSync(join(vault.keysDir, 'recovery')).filter((name) => name.includes('CERT-'));
  for (const name of later) rmSync(join(vault.keysDir, 'recovery', name));
  const lost = await run('doctor');
  expect(lost.text).toMatch(/^FAIL +key folder +recovery\/BitLockerManagement_CERT/m);
  expect(lost.text).toContain('there is no certificate here');
  const restored = await mpe(vault, ['restore', file, '--password-file', password]);
  expect(restored.text).toContain('opens 3 of 3 data keys');
}, 240_000);

describe('a backup', () => {
  let vault: Vault;
  beforeEach(async () => {
    vault = await Vault.create();
    await withDataKeys(vault, 2);
  }, 120_000);

  /** The key folder of a host that lost recovery/. */
  function bare(): string {
    const folder = join(tempFolder(), 'keys');
    copyWithModes(vault.keysDir, folder);
    rmSync(join(folder, 'recovery'), { recursive: true });
    return folder;
  }

  test('opens with its password alone, also by openssl; restored, the site is served again', async () => {
    const file = join(tempFolder(), 'certificate.pem');
    const password = secretFile(PASSWORD);
    expect((await mpe(vault, ['backup', file, '--password-file', secretFile('short')])).code).toBe(2);
    expect((await mpe(vault, ['backup', file, '--password-file', password])).code).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).not.toContain('BEGIN PRIVATE KEY');
    expect((await mpe(vault, ['backup', file, '--password-file', password])).text).toContain('there already');
    let openssl = true;
    try {
      execFileSync('openssl', ['version']);
    } catch {
      openssl = false;
    }
    if (openssl) {
      const key = execFileSync('openssl', ['pkey', '-in', file, '-passin', `file:${password}`]).toString();
      expect(key.trim()).toBe(
        readFileSync(join(vault.keysDir, 'recovery/BitLockerManagement_CERT-key.pem'), 'utf8').trim(),
      );
    }
    const MPE_KEYS_DIR = bare();
    const without = await mpe(vault, ['verify'], { MPE_KEYS_DIR });
    expect(without.code).toBe(3);
    expect(without.text).toContain('CERTIFICATE_UNUSABLE: no stored key can be read on this host');
    const wrong = await mpe(vault, ['restore', file, '--password-file', secretFile('another password')], {
      MPE_KEYS_DIR,
    });
    expect(wrong.text).toContain('the password is wrong');
    expect(existsSync(join(MPE_KEYS_DIR, 'recovery'))).toBe(false);
    const restored = await mpe(vault, ['restore', file, '--password-file', password], { MPE_KEYS_DIR });
    expect(restored.text).toContain('opens 2 of 2 data keys');
    expect(restored.code).toBe(0);
    const verified = await mpe(vault, ['verify', '--all'], { MPE_KEYS_DIR });
    expect(verified.text).toContain('2 of 2 stored secrets open');
    expect(verified.code).toBe(0);
  }, 180_000);

  test('and its restore, stopped by kill -9 behind any change, are whole or not there, and done by the same call', async () => {
    const password = ['--password-file', secretFile(PASSWORD)];
    const where = { cwd: vault.site.folder, env: settings(vault.site, NO_REDIS) };
    const whole = join(tempFolder(), 'certificate.pem');
    const steps = await countSteps(['certificate', 'backup', whole, ...password], where);
    const { size } = statSync(whole);
    for (const step of someOf(steps, 10)) {
      const file = join(tempFolder(), 'certificate.pem');
      const call = ['backup', file, ...password];
      expect(await killedBehind(step, ['certificate', ...call], where)).toMatchObject({ killed: true });
      if (existsSync(file)) expect(statSync(file).size).toBe(size);
      expect((await mpe(vault, [...call, '--force'])).code, `killed behind ${step} of ${steps}`).toBe(0);
      expect(readdirSync(dirname(file))).toEqual(['certificate.pem']);
    }
    const restore = ['restore', whole, ...password];
    const into = (MPE_KEYS_DIR: string): typeof where => ({ ...where, env: { ...where.env, MPE_KEYS_DIR } });
    const changes = await countSteps(['certificate', ...restore], into(bare()));
    for (const step of someOf(changes, 10)) {
      const MPE_KEYS_DIR = bare();
      const killed = await killedBehind(step, ['certificate', ...restore], into(MPE_KEYS_DIR));
      expect(killed).toMatchObject({ killed: true });
      const again = await mpe(vault, restore, { MPE_KEYS_DIR });
      expect(again.code, `killed behind ${step} of ${changes}: ${again.text}`).toBe(0);
      expectWhole(MPE_KEYS_DIR);
      const { text } = await mpe(vault, ['verify'], { MPE_KEYS_DIR });
      expect(text, `killed behind ${step}`).toContain('2 of 2 data keys open');
    }
  }, 600_000);

  test('takes no place among the keys, and nothing away from where it is written', async () => {
    const password = secretFile(PASSWORD);
    const inside = await mpe(vault, ['backup', join(vault.keysDir, 'b.pem'), '--password-file', password]);
    expect(inside.text).toContain('lies in the key folder');
    expect(inside.code).toBe(2);
    const folder = tempFolder();
    // Looks like a draft of ours, and is somebody else's.
    const foreign = join(folder, 'accounts.new-4194999');
    writeFileSync(foreign, 'x');
    expect((await mpe(vault, ['backup', join(folder, 'b.pem'), '--password-file', password])).code).toBe(0);
    expect(existsSync(foreign)).toBe(true);
  }, 60_000);

  test('of another site is refused, and nothing is written', async () => {
    const other = await Vault.create();
    await withDataKeys(other, 1);
    const file = join(tempFolder(), 'certificate.pem');
    const password = secretFile(PASSWORD);
    // A certificate of one's own: test sites share theirs.
    const { certificatePem, keyPem } = await createCertificate(Date.now());
    writeFileSync(file, certificatePem + keyPem, { mode: 0o600 });
    const MPE_KEYS_DIR = bare();
    const refused = await mpe(vault, ['restore', file, '--password-file', password], { MPE_KEYS_DIR });
    expect(refused.code).toBe(3);
    expect(refused.text).toContain('open none of the 2 data keys');
    expect(existsSync(join(MPE_KEYS_DIR, 'recovery'))).toBe(false);
  }, 120_000);
});

describe('an import', () => {
  test('takes PKCS #12 of openssl and PEM, and refuses what is not fit', async () => {
    const vault = await Vault.create();
    const folder = tempFolder();
    const at = (name: string): string => join(folder, name);
    const { certificatePem, keyPem } = await createCertificate(Date.now(), 1);
    writeFileSync(at('c.pem'), certificatePem);
    writeFileSync(at('k.pem'), keyPem, { mode: 0o600 });
    const password = secretFile(PASSWORD);
    const pkcs12 = [
      'pkcs12',
      '-export',
      '-in',
      at('c.pem'),
      '-inkey',
      at('k.pem'),
      '-passout',
      `file:${password}`,
    ];
    execFileSync('openssl', [...pkcs12, '-out', at('new.p12')]);
    execFileSync('openssl', [...pkcs12, '-legacy', '-out', at('old.p12')]);
    expect(
      (await mpe(vault, ['import', at('new.p12'), '--password-file', secretFile('wrong')])).text,
    ).toContain('the password is wrong');
    const first = await mpe(vault, ['import', at('new.p12'), '--password-file', password]);
    expect(first.text).toContain('Imported certificate');
    for (const again of [
      ['import', at('old.p12'), '--password-file', password],
      ['import', at('c.pem'), '--key', at('k.pem')],
    ])
      expect((await mpe(vault, again)).text).toContain('is here already');
    expectWhole(vault.keysDir);
    expect((await mpe(vault, ['rotate'])).code).toBe(0);
    const other = await createCertificate(Date.now());
    writeFileSync(at('k.pem'), other.keyPem);
    expect((await mpe(vault, ['import', at('c.pem'), '--key', at('k.pem')])).text).toContain(
      'belongs to none',
    );
    const weak = [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      at('w.pem'),
      '-out',
      at('wc.pem'),
    ];
    execFileSync('openssl', [...weak, '-subj', '/O=Corp/CN=BitLockerManagement_CERT'], { stdio: 'ignore' });
    expect((await mpe(vault, ['import', at('wc.pem'), '--key', at('w.pem')])).text).toContain(
      'at least 3072',
    );
  }, 240_000);
});

test('an import takes a password of any characters, and no open private key that others may read', async () => {
  const vault = await Vault.create();
  const folder = tempFolder();
  const at = (name: string): string => join(folder, name);
  const { certificatePem, keyPem } = await createCertificate(Date.now(), 1);
  writeFileSync(at('c.pem'), certificatePem);
  writeFileSync(at('k.pem'), keyPem, { mode: 0o644 });
  const open = await mpe(vault, ['import', at('c.pem'), '--key', at('k.pem')]);
  expect(open.text).toContain('holds a private key and can be read by others');
  expect(open.code).toBe(2);
  chmodSync(at('k.pem'), 0o600);
  // What a pipe gives is there once.
  execFileSync('mkfifo', ['-m', '600', at('pipe')]);
  const writer = spawn('cp', [at('k.pem'), at('pipe')]);
  onTestFinished(() => void writer.kill());
  expect((await mpe(vault, ['import', at('c.pem'), '--key', at('pipe')])).text).toContain('Imported');
  const password = secretFile('pässwörd π');
  const openssl = (...more: readonly string[]): void => {
    execFileSync('openssl', [...more], { stdio: 'ignore' });
  };
  const pkcs12 = [
    'pkcs12',
    '-export',
    '-in',
    at('c.pem'),
    '-inkey',
    at('k.pem'),
    '-passout',
    `file:${password}`,
  ];
  openssl(...pkcs12, '-out', at('new.p12'));
  openssl(...pkcs12, '-legacy', '-out', at('old.p12'));
  openssl('pkcs8', '-topk8', '-in', at('k.pem'), '-out', at('e.pem'), '-passout', `file:${password}`);
  chmodSync(at('e.pem'), 0o644);
  for (const args of [[at('new.p12')], [at('old.p12')], [at('c.pem'), '--key', at('e.pem')]]) {
    const ran = await mpe(vault, ['import', ...args, '--password-file', password]);
    expect(ran.text).toMatch(/Imported certificate|is here already/);
    expect(ran.code).toBe(0);
  }
}, 120_000);

test('a private key that others may read, and a password file, are refused', async () => {
  const vault = await Vault.create();
  await mpe(vault, ['create']);
  const later = readdirSync(join(vault.keysDir, 'recovery')).find((name) =>
    /-[0-9a-f]{16}-key\.pem$/.test(name),
  );
  chmodSync(join(vault.keysDir, 'recovery', later ?? ''), 0o640);
  for (const args of [['status'], ['rotate'], ['verify']]) {
    const refused = await mpe(vault, args);
    expect(refused.code).toBe(1);
    expect(refused.text).toContain('can be read by others');
  }
  chmodSync(join(vault.keysDir, 'recovery', later ?? ''), 0o600);
  const password = secretFile(PASSWORD);
  chmodSync(password, 0o644);
  const refused = await mpe(vault, ['backup', join(tempFolder(), 'b.pem'), '--password-file', password]);
  expect(refused.text).toContain('can be read by others');
}, 120_000);
