import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomRecoveryPassword } from '../../src/client/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import { Engine } from '../support/engine.js';
import { EngineProcess } from '../support/engine-process.js';
import { copyWithModes } from '../support/copy-folder.js';

// Design R7, the whole way through real processes: a stored key goes bad, the canary sees it, the
// machine that still holds it is asked for it and sends it again, and the alarm ends.
let engine: Engine;
let recovery: EngineProcess;
let client: { settings: Record<string, string> };
const keys = Array.from({ length: 3 }, () => ({
  keyId: newGuid(),
  recoveryPassword: randomRecoveryPassword(),
}));
const volumeId = newGuid();
/** For a round of the canary on a busy machine. */
const BUSY_MS = 90_000;
const bad = keys[1]!;

beforeAll(async () => {
  engine = Engine.at();
  const token = await engine.initSite();
  await engine.start();
  // A host of its own: the certificate's part of the key folder alone.
  const keysDir = join(engine.folder, 'keys-recovery');
  for (const part of ['site.json', 'recovery'])
    copyWithModes(join(engine.home, 'keys', part), join(keysDir, part));
  recovery = EngineProcess.start({
    name: 'recovery',
    args: ['recovery'],
    env: {
      ...engine.environment(),
      MPE_KEYS_DIR: keysDir,
      MPE_RECOVERY_OPS_LISTEN: '127.0.0.1:0',
      MPE_RECOVERY_CANARY_SECONDS: '1',
      MPE_LOG_LEVEL: 'trace',
    },
    logFile: join(engine.logs, 'recovery.log'),
  });
  client = { settings: { MPE_CLIENT_HOME: join(engine.folder, 'client') } };
  const tokenFile = join(engine.folder, 'token');
  writeFileSync(tokenFile, token);
  await engine.run(
    ['client', 'enrol', '--url', engine.url, '--token-file', tokenFile, '--name', 'PC-1'],
    client,
  );
  await recovery.waitForEvent('recovery.ready');
});
afterAll(async () => {
  await recovery.kill();
  await engine.dispose();
});

const ops = async (path: string): Promise<string> => {
  const port = Number((await recovery.waitForEvent('recovery.ops_listening'))['opsPort']);
  return (await fetch(`http://127.0.0.1:${port}${path}`)).text();
};

const escrow = async (): Promise<string> => {
  const file = join(engine.folder, 'keys.json');
  writeFileSync(file, JSON.stringify({ volumes: [{ volumeId, volumeType: 'OS', protectors: keys }] }));
  return (await engine.run(['client', 'escrow', '--from', file], client)).stdout;
};

const checkIn = async (): Promise<string> => {
  const volumes = [{ volumeId, volumeType: 'OS', keyIds: keys.map((key) => key.keyId) }];
  const input = JSON.stringify({ machineName: 'PC-1', domain: 'CORP', users: [], volumes });
  return (await engine.run(['client', 'check-in', '--from', '-'], { ...client, input })).stdout;
};

test('a key that stopped to be readable is marked, asked for, sent again, and readable', async () => {
  expect(await escrow()).toContain('COMMITTED');
  expect(await checkIn()).not.toMatch(/escrow/i);

  const db = new Database(join(engine.home, 'site.db'));
  db.exec('DROP TRIGGER MPE_KeySecrets_NoUpdate');
  const { changes } = db
    .prepare(
      `UPDATE MPE_KeySecrets SET Content = zeroblob(length(Content))
       WHERE SecretId IN (SELECT SecretId FROM MPE_Keys WHERE KeyId = ?)`,
    )
    .run(bad.keyId);
  db.close();
  expect(changes).toBe(1);

  const line = await recovery.waitForEvent('canary.secret_damaged');
  expect(line).toMatchObject({ keyId: bad.keyId, volumeId, level: 'error', reason: 'CIPHERTEXT_DAMAGED' });
  await expect.poll(() => ops('/metrics'), { timeout: BUSY_MS }).toMatch(/^mpe_undecryptable_secrets 1$/m);
  expect(await ops('/readyz')).toContain('1 stored secrets cannot be read');
  const found = await engine.run(['keys', 'find', bad.keyId.slice(0, 8)]);
  expect(found.stdout).toContain('NOT READABLE');

  // Asked for, this one alone.
  const asked = await checkIn();
  expect(asked).toMatch(new RegExp(`escrow.*${bad.keyId}`, 'is'));
  for (const key of keys)
    if (key !== bad) expect(asked.toLowerCase()).not.toMatch(new RegExp(`escrow.*${key.keyId}`, 's'));

  expect(await escrow()).toContain(`key ${bad.keyId}  COMMITTED`);
  await expect.poll(() => ops('/metrics'), { timeout: BUSY_MS }).toMatch(/^mpe_undecryptable_secrets 0$/m);
  expect(await ops('/readyz')).toContain('"secrets":"ok"');
  await recovery.waitForEvent('canary.alarm_cleared');
  const verified = await engine.run(['secrets', 'verify']);
  expect(verified.stdout).toContain('Every stored secret opens');
  expect(verified.stdout).toMatch(/^RECOVERY_PASSWORD +3 +0 +0 +1 +0$/m);
  expect(await checkIn()).not.toMatch(/escrow/i);

  for (const key of keys) expect(recovery.output()).not.toContain(key.recoveryPassword);
  expect((await recovery.stop()).code).toBe(0);
});
