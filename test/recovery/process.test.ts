import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import { parseRecoveryPassword } from '../../src/protocol/recovery-password.js';
import { SENTINEL_MADE_BY, sentinelRow } from '../../src/recovery/sentinel.js';
import { createCertificate } from '../../src/secrets/create-certificate.js';
import { loadCertificate } from '../../src/secrets/certificate.js';
import { copyWithModes } from '../support/copy-folder.js';
import { tempFolder } from '../support/temp.js';
import { MpeProcess, until } from '../workers/runtime-support.js';
import { password } from '../workers/support.js';
import { Vault } from './support.js';

// The real process, from the sources. It needs no Redis.
const NO_REDIS = { url: 'redis://127.0.0.1:9' };
const KILL_IN_ROUND = new URL('kill-in-round.mjs', import.meta.url).href;
const QUICK = { MPE_RECOVERY_OPS_LISTEN: '127.0.0.1:0', MPE_RECOVERY_CANARY_SECONDS: '1' };

const start = (vault: Vault, more: Record<string, string> = {}): MpeProcess =>
  new MpeProcess(vault.site, NO_REDIS, ['recovery'], { ...QUICK, ...more });

/** Everything that is no log line: what `mpe` says when it ends. */
function said(process: MpeProcess): string[] {
  return process
    .text()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{'));
}

async function ops(running: MpeProcess, path: string): Promise<{ status: number; text: string }> {
  // The rounds begin before this server listens.
  await until(() => running.count('recovery.ops_listening') === 1);
  const port = Number(
    running.lines().find((line) => line['event'] === 'recovery.ops_listening')?.['opsPort'],
  );
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: response.status, text: await response.text() };
}

describe('a site that needs its certificate', () => {
  test('is watched; readiness and metrics tell; SIGTERM ends it in order', async () => {
    const vault = await Vault.create();
    const secrets = await vault.passwords(1, 30);
    await vault.commit(...secrets);
    const running = start(vault);
    await until(() => running.count('recovery.ready') === 1);
    expect((await ops(running, '/healthz')).status).toBe(200);
    expect(await ops(running, '/readyz')).toMatchObject({
      status: 200,
      text: expect.stringContaining('"certificate":"ok","canary":"ok","secrets":"ok","store":"ok"') as string,
    });
    vault.damage(secrets[0]!);
    await until(() => running.count('canary.secret_damaged') === 1);
    await until(async () =>
      (await ops(running, '/metrics')).text.includes('\nmpe_undecryptable_secrets 1\n'),
    );
    const told = await ops(running, '/readyz');
    expect(told.status).toBe(200);
    expect(told.text).toContain('1 stored secrets cannot be read');
    for (const n of [1, 2, 3]) expect(running.text()).not.toContain(password(n));
    running.child.kill('SIGTERM');
    await running.ended;
    expect(running.child.exitCode).toBe(0);
  });

  test('and was restored without it is refused with one message and status 3; nothing is changed', async () => {
    const vault = await Vault.create();
    await vault.commit(...(await vault.passwords(1, 3)));
    const { certificateThumbprint } = vault.site.keyFolder;
    const without = join(tempFolder(), 'keys');
    copyWithModes(vault.keysDir, without);
    rmSync(join(without, 'recovery'), { recursive: true });
    const refused = start(vault, { MPE_KEYS_DIR: without, MPE_LOG_LEVEL: 'info' });
    await refused.ended;
    expect(refused.child.exitCode).toBe(3);
    expect(said(refused)).toHaveLength(1);
    const [message] = said(refused);
    expect(message).toMatch(/^mpe: CERTIFICATE_UNUSABLE: no stored key can be read on this host/);
    expect(message).toContain(`BitLockerManagement_CERT ${certificateThumbprint ?? ''}`);
    expect(message).toContain('holds 1 data keys');
    expect(message).toContain(`In ${without} there is no recovery/BitLockerManagement_CERT.pem`);
    expect(message).toContain('from its backup');
    expect(await vault.store.counts()).toMatchObject({ secrets: 3, damagedSecrets: 0 });
    // With the certificate back in place it serves, and every row opens.
    copyWithModes(join(vault.keysDir, 'recovery'), join(without, 'recovery'));
    const running = start(vault, { MPE_KEYS_DIR: without });
    await until(() => running.count('recovery.ready') === 1);
  });

  test('refuses a certificate that opens none of its data keys, naming the other one', async () => {
    const vault = await Vault.create();
    const other = loadCertificate((await createCertificate(Date.now())).certificatePem);
    const row = await sentinelRow(vault.site.siteGuid, other, Date.now());
    await vault.store.insertDataKey({ ...row, dataKeyId: newGuid() });
    const refused = start(vault);
    await refused.ended;
    expect(refused.child.exitCode).toBe(3);
    expect(said(refused).join('\n')).toContain(
      `which opens none of them; they are wrapped to ${other.thumbprint}`,
    );
    expect(
      (await vault.store.readDataKeys()).some(
        (one) => one.createdBy === SENTINEL_MADE_BY && one.dataKeyId !== row.dataKeyId,
      ),
    ).toBe(true);
  });

  test.each([
    ['recovery/BitLockerManagement_CERT-key.pem', 0o640],
    ['recovery', 0o750],
  ])('refuses %s with mode %i', async (name, mode) => {
    if (process.platform === 'win32') return;
    const vault = await Vault.create();
    chmodSync(join(vault.keysDir, name), mode);
    const refused = start(vault);
    await refused.ended;
    expect(refused.child.exitCode).toBe(1);
    expect(said(refused).join()).toMatch(/^mpe: KEY_FOLDER_INVALID: .*can be read by others.*chmod go=/);
  });

  test('goes on after kill -9 in the middle of rounds', async () => {
    const vault = await Vault.create();
    const secrets = await vault.passwords(1, 2000);
    for (let i = 0; i < secrets.length; i += 500) await vault.commit(...secrets.slice(i, i + 500));
    vault.damage(...secrets.filter((_, n) => n % 100 === 7));
    // In the transaction of the sentinel, between two pages of the walk, and in that of the seventh mark.
    for (const [at, behind, marked] of [
      ['INSERT INTO MPE_DataKeyWraps', '1', 0],
      ['LIMIT ?3', '10', 0],
      ['INSERT INTO MPE_SecretDamage', '7', 6],
    ] as const) {
      const victim = start(vault, {
        ...{ MPE_RECOVERY_CANARY_SAMPLE: '3000', NODE_OPTIONS: `--import=${KILL_IN_ROUND}` },
        ...{ KILL_AT: at, KILL_BEHIND: behind },
      });
      await victim.ended;
      expect(victim.child.signalCode, at).toBe('SIGKILL');
      expect((await vault.store.counts()).damagedSecrets, at).toBe(marked);
    }
    const running = start(vault, { MPE_RECOVERY_CANARY_SAMPLE: '3000' });
    await until(() => running.count('recovery.ready') === 1);
    await until(async () => (await vault.store.counts()).damagedSecrets === 20);
    expect(
      (await vault.store.readDataKeys()).filter((row) => row.createdBy === SENTINEL_MADE_BY),
    ).toHaveLength(1);
  }, 300_000);
});

test('a site in plain text by consent is watched as well, loudly', async () => {
  const vault = await Vault.create({ plaintextConsent: true });
  const [good, other] = await vault.passwords(1, 2);
  const text = Buffer.from(password(3));
  await vault.commit(
    good!,
    other!,
    await vault.sealed('RECOVERY_PASSWORD', text, parseRecoveryPassword(password(4)).bytes),
  );
  const running = start(vault);
  await until(() => running.count('recovery.ready') === 1);
  expect(running.lines().find((line) => line['event'] === 'recovery.plaintext')).toMatchObject({
    level: 'warn',
  });
  expect((await ops(running, '/readyz')).text).toContain('this site stores plain text by consent');
  expect((await vault.store.counts()).damagedSecrets).toBe(1);
  expect(await vault.store.readDataKeys()).toHaveLength(0);
});
