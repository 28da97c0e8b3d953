import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomRecoveryPassword } from '../../src/client/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import { Engine } from '../support/engine.js';

// The whole way through the real command line: site, gateway, worker, client, and what operators see.
// The second round starts every process five years later: expiries warn, and nothing stops.
describe.each([
  ['today', '0'],
  ['five years later', '+5y'],
])('the full path, %s', (_, offset) => {
  const password = randomRecoveryPassword();
  const keyId = newGuid();
  const volumeId = newGuid();
  let engine: Engine;
  let client: { settings: Record<string, string> };
  let messageId = '';

  beforeAll(async () => {
    // The site itself is made today: five years later its document and certificate are five years old.
    engine = Engine.at({ settings: offset === '0' ? {} : { MPE_TEST_CLOCK_OFFSET: offset } });
    const token = await engine.initSite([], { settings: { MPE_TEST_CLOCK_OFFSET: '0' } });
    await engine.start();
    client = { settings: { MPE_CLIENT_HOME: join(engine.folder, 'client') } };
    const tokenFile = join(engine.folder, 'token');
    // The first token lives for days; an operator five years later makes a new one.
    const fresh = offset === '0' ? token : await engine.newEnrolmentToken();
    writeFileSync(tokenFile, fresh);
    await engine.run(
      ['client', 'enrol', '--url', engine.url, '--token-file', tokenFile, '--name', 'DESKTOP-0042'],
      client,
    );
  });
  afterAll(async () => engine.dispose());

  const json = async (args: string[]): Promise<Record<string, unknown>> =>
    JSON.parse((await engine.run([...args, '--json'])).stdout) as Record<string, unknown>;

  /** `mpe status` ends with a code; it waits for nothing long, so a busy machine may need a second look. */
  const says = async (code: number): Promise<void> => {
    const look = (): Promise<unknown> => engine.command(['status']);
    await expect.poll(look, { timeout: 120_000, interval: 500 }).toMatchObject({ code });
  };

  it('commits an escrowed key and says so in a verified reply', async () => {
    const file = join(engine.folder, 'keys.json');
    const protectors = [{ keyId, recoveryPassword: password }];
    writeFileSync(file, JSON.stringify({ volumes: [{ volumeId, volumeType: 'OS', protectors }] }));
    const { stdout } = await engine.run(['client', 'escrow', '--from', file], client);
    expect(stdout).toContain('COMMITTED');
    expect(stdout).toContain(`key ${keyId}  COMMITTED`);
    messageId = /COMMITTED {2}([0-9a-f-]{36})/.exec(stdout)?.[1] ?? '';
    expect(messageId).not.toBe('');
  });

  it('commits the TPM owner authorization and a check-in', async () => {
    const tpm = await engine.run(['client', 'escrow-tpm', '--from', '-'], {
      ...client,
      input: JSON.stringify({ ownerAuthBase64: randomBytes(20).toString('base64') }),
    });
    expect(tpm.stdout).toContain('COMMITTED');
    const state = {
      machineName: 'DESKTOP-0042',
      domain: 'EXAMPLE',
      users: [{ domain: 'EXAMPLE', name: 'anna' }],
      volumes: [{ volumeId, volumeType: 'OS', keyIds: [keyId] }],
    };
    const checkIn = await engine.run(['client', 'check-in', '--from', '-'], {
      ...client,
      input: JSON.stringify(state),
    });
    expect(checkIn.stdout).toContain('COMMITTED');
  });

  it('shows where the message is, without its content', async () => {
    const { stdout } = await engine.run(['messages', 'show', messageId]);
    expect(stdout).toContain('COMMITTED');
    expect(stdout).not.toContain(password);
  });

  it('finds the key by eight digits, as metadata alone', async () => {
    const { stdout } = await engine.run(['keys', 'find', keyId.slice(0, 8).toUpperCase()]);
    expect(stdout).toContain(keyId);
    expect(stdout).toContain('DESKTOP-0042');
    expect(stdout).not.toContain(password);
    expect(stdout).not.toContain(password.slice(0, 6));
  });

  it('opens every stored secret with the certificate', async () => {
    const { stdout } = await engine.run(['secrets', 'verify']);
    expect(stdout).toContain('Every stored secret opens');
    expect(stdout).not.toContain(password);
  });

  it('says ok while everything runs', async () => {
    if (offset !== '0') {
      const late = await engine.command(['status']);
      expect(late.stdout + late.stderr).toContain('the site document has expired');
      expect(late.code).toBe(1);
      await engine.run(['site', 'publish']);
    }
    await says(0);
    expect(await json(['status'])).toBeTypeOf('object');
  });

  it('says degraded without a gateway, down without Redis, and recovers', async () => {
    await engine.gateway?.stop();
    await says(1);
    await engine.redis.kill();
    await says(2);
    await engine.redis.start();
    await engine.startGateway();
    await says(0);
  });

  it('stops in order on SIGTERM', async () => {
    const gateway = await engine.gateway?.stop();
    const worker = await engine.workers[0]?.stop();
    expect([gateway?.code, worker?.code]).toEqual([0, 0]);
  });
});
