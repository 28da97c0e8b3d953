import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { RoundReport } from '../../src/recovery/canary.js';
import { SENTINEL_MADE_BY } from '../../src/recovery/sentinel.js';
import type { SecretWrite } from '../../src/store/site-store.js';
import {
  describeSqlServer,
  makeSqlServerDatabase,
  sqlServerUrl,
  type SqlServerDatabase,
} from '../support/sqlserver.js';
import { MpeProcess, until } from '../workers/runtime-support.js';
import { password } from '../workers/support.js';
import { Vault } from './support.js';

const BUSY_SERVER_MS = 300_000;

/** Flips bits of a stored ciphertext, as an administrator of the database could: past the triggers. */
async function damage(database: SqlServerDatabase, { identity, content }: SecretWrite): Promise<void> {
  const bytes = Buffer.from(content.bytes);
  bytes[20] = (bytes[20] ?? 0) ^ 1;
  const table = identity.kind === 'TPM_OWNER_AUTH' ? 'MPE_TpmOwnerAuthSecrets' : 'MPE_KeySecrets';
  const trigger = `TRIGGER dbo.${table}_AppendOnly ON dbo.${table};`;
  const hex = (value: Uint8Array): string => `0x${Buffer.from(value).toString('hex')}`;
  await database.sql(`DISABLE ${trigger}`);
  await database.sql(
    `UPDATE dbo.${table} SET Content = ${hex(bytes)} WHERE SecretId = ${hex(identity.secretId)};`,
  );
  await database.sql(`ENABLE ${trigger}`);
}

/** What the canary makes of a site with some damage, in its rounds and in what it tells. */
async function watched(
  vault: Vault,
  damaging: (secret: SecretWrite) => void | Promise<void>,
): Promise<{ rounds: RoundReport[]; metrics: string[]; ready: string[]; counts: object }> {
  const passwords = await vault.passwords(1, 60);
  const package_ = await vault.sealed('KEY_PACKAGE', randomBytes(300));
  const owner = await vault.sealed('TPM_OWNER_AUTH', randomBytes(20));
  await vault.commit(...passwords, package_, owner);
  const canary = await vault.canary();
  const rounds = [await canary.round()];
  for (const bad of [passwords[7]!, passwords[31]!, package_, owner]) await damaging(bad);
  rounds.push(await canary.round(), await canary.round());
  // One gets a successor.
  await vault.commit({
    identity: passwords[7]!.identity,
    content: await vault.ring!.encrypt(passwords[7]!.identity, Buffer.from(password(8))),
  });
  rounds.push(await canary.round());
  const told = /^mpe_(undecryptable_secrets|canary_(marked_total|alarm|data_keys)\b)/;
  const sentinels = (await vault.store.readDataKeys()).filter((row) => row.createdBy === SENTINEL_MADE_BY);
  expect(sentinels).toHaveLength(1);
  expect(JSON.stringify(vault.site.lines)).not.toContain(password(8));
  return {
    rounds,
    metrics: (await canary.metrics()).split('\n').filter((line) => told.test(line)),
    ready: [await canary.ready('certificate'), await canary.ready('canary'), await canary.ready('secrets')],
    counts: await vault.store.counts(),
  };
}

describeSqlServer('the recovery canary on SQL Server', () => {
  test(
    'marks, counts and tells what it does on SQLite',
    async () => {
      const database = await makeSqlServerDatabase();
      const there = await Vault.create({ location: database.location });
      const onServer = await watched(there, (secret) => damage(database, secret));
      const here = await Vault.create();
      const onSqlite = await watched(here, (secret) => here.damage(secret));
      expect(onServer).toEqual(onSqlite);
      expect(onServer.rounds.map(({ marked, undecryptable }) => ({ marked, undecryptable }))).toEqual([
        { marked: 0, undecryptable: 0 },
        { marked: 4, undecryptable: 4 },
        { marked: 0, undecryptable: 4 },
        { marked: 0, undecryptable: 3 },
      ]);
      expect(onServer.metrics).toContain('mpe_undecryptable_secrets 3');
      expect(onServer.ready[2]).toMatch(/^ready: 3 stored secrets cannot be read/);
    },
    BUSY_SERVER_MS,
  );

  test(
    'is the process `mpe recovery`, which finds what is damaged while it runs',
    async () => {
      const database = await makeSqlServerDatabase();
      const vault = await Vault.create({ location: database.location });
      const secrets = await vault.passwords(1, 30);
      await vault.commit(...secrets);
      const url = new URL(sqlServerUrl() ?? '');
      url.pathname = `/${database.target.database}`;
      const running = new MpeProcess(vault.site, { url: 'redis://127.0.0.1:9' }, ['recovery'], {
        ...{ MPE_STORE_URL: url.href, MPE_RECOVERY_CANARY_SECONDS: '1' },
        MPE_RECOVERY_OPS_LISTEN: '127.0.0.1:0',
      });
      await until(() => running.count('recovery.ready') === 1, 60_000);
      await damage(database, secrets[3]!);
      await until(() => running.count('canary.secret_damaged') === 1, 30_000);
      const [listening] = running.lines().filter((line) => line['event'] === 'recovery.ops_listening');
      const ops = `http://127.0.0.1:${Number(listening?.['opsPort'])}`;
      await until(async () =>
        (await (await fetch(`${ops}/metrics`)).text()).includes('\nmpe_undecryptable_secrets 1\n'),
      );
      expect(await (await fetch(`${ops}/readyz`)).text()).toContain('1 stored secrets cannot be read');
      expect(await vault.store.counts()).toMatchObject({ secrets: 30, damagedSecrets: 1 });
      expect(running.text()).not.toContain(decodeURIComponent(url.password));
      running.child.kill('SIGTERM');
      await running.ended;
      expect(running.child.exitCode).toBe(0);
    },
    BUSY_SERVER_MS,
  );
});
