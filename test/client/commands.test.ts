import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomRecoveryPassword } from '../../src/client/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import { tempFolder } from '../support/temp.js';
import { LiveSite } from './live-site.js';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

let site: LiveSite;
beforeAll(async () => {
  site = await LiveSite.start();
});
afterAll(() => site.stop());

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[], env: Record<string, string>, input = ''): Promise<Ran> {
  const child = spawn(process.execPath, args, { env: { PATH: process.env['PATH'] ?? '', ...env } });
  let [out, err] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (out += text.toString()));
  child.stderr.on('data', (text: Buffer) => (err += text.toString()));
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, out, err };
}

const mpe = (home: string, args: readonly string[], input = ''): Promise<Ran> =>
  run(['--import', 'tsx', MAIN, 'client', ...args], { MPE_CLIENT_HOME: home }, input);

test('mpe client: enrol, escrow from standard input, show; no secret is ever printed', async () => {
  const home = join(tempFolder(), 'client');
  const early = await mpe(home, ['show']);
  expect(early).toMatchObject({ code: 1, out: '' });
  expect(early.err).toContain('STATE_INVALID');

  const enrol = await mpe(home, ['enrol', '--url', site.url, '--token-file', '-'], site.enrolmentToken);
  expect(enrol.code, enrol.err).toBe(0);
  expect(enrol.out).toMatch(/^client {4}[0-9a-f-]{36}, epoch 1$/m);

  const [volumeId, keyId, badKeyId] = [newGuid(), newGuid(), newGuid()];
  const [good, bad] = [randomRecoveryPassword(), '720896-000000-000000-000000-000000-000000-000000-000000'];
  const file = {
    volumes: [
      {
        ...{ volumeId, volumeType: 'OS', driveLabel: 'C:' },
        protectors: [
          { keyId, recoveryPassword: good },
          { keyId: badKeyId, recoveryPassword: bad },
        ],
      },
    ],
  };
  const escrow = await mpe(home, ['escrow', '--from', '-', '--verbose'], JSON.stringify(file));
  expect(escrow.code, escrow.err).toBe(0);
  expect(escrow.out).toMatch(
    /^PARTIAL ITEMS_REJECTED {2}[0-9a-f-]{36} {2}ESCROW_RECOVERY_KEYS {2}sequence 1/m,
  );
  expect(escrow.out).toContain(`key ${keyId}  COMMITTED`);
  expect(escrow.out).toContain(`key ${badKeyId}  REJECTED RECOVERY_PASSWORD_INVALID (group 1)`);

  const show = await mpe(home, ['show', '--json']);
  expect(JSON.parse(show.out)).toMatchObject({
    nextSequence: '2',
    pending: [],
    held: [{ keyId: badKeyId, reason: 'RECOVERY_PASSWORD_INVALID', badGroup: 1 }],
  });

  const secrets = [good, bad, site.enrolmentToken.split('.')[3]!];
  for (const { out, err } of [early, enrol, escrow, show]) {
    for (const secret of secrets) expect(`${out}${err}`).not.toContain(secret);
  }
});

test('mpe client simulate counts, and its ledger holds hashes, no passwords', async () => {
  const folder = tempFolder();
  const ledger = join(folder, 'ledger.jsonl');
  const args = ['simulate', '--url', site.url, '--token-file', '-', '--clients', '2', '--messages', '3'];
  const ran = await mpe(join(folder, 'client'), [...args, '--ledger', ledger, '--json'], site.enrolmentToken);
  expect(ran.code, ran.err).toBe(0);
  expect(JSON.parse(ran.out)).toMatchObject({ counts: { COMMITTED: 6, UNANSWERED: 0 } });
  const text = readFileSync(ledger, 'utf8');
  expect(text.trim().split('\n')).toHaveLength(6);
  expect(text).not.toMatch(/\d{6}-\d{6}/);
  expect(existsSync(join(folder, 'client'))).toBe(false);
});

test('the example of the documentation runs', async () => {
  const example = fileURLToPath(new URL('../../docs/examples/client.ts', import.meta.url));
  const folder = join(tempFolder(), 'client');
  const { out, err, code } = await run(['--import', 'tsx', example, folder], {
    MPE_URL: site.url,
    MPE_TOKEN: site.enrolmentToken,
  });
  expect(code, err).toBe(0);
  expect(out).toBe('safe: an old protector may go\n');
});

test('a state that cannot be opened is an error that says what to do', async () => {
  const file = join(tempFolder(), 'a-file');
  writeFileSync(file, '');
  const home = join(tempFolder(), 'client');
  mkdirSync(join(home, 'client.json'), { recursive: true });
  for (const place of [file, home]) {
    const { code, err } = await mpe(place, ['show']);
    expect(code).toBe(1);
    expect(err).toContain('STATE_INVALID');
    expect(err).toContain('MPE_CLIENT_HOME');
  }
});

test('wrong calls end with 2 and say what to do', async () => {
  const home = join(tempFolder(), 'client');
  for (const args of [
    ['enrol', '--url', site.url],
    ['escrow'],
    ['enrol', '--url', 'http://x', '--token', 'y'],
  ]) {
    const { code, err } = await mpe(home, args);
    expect(code, args.join(' ')).toBe(2);
    expect(err).toContain('USAGE');
  }
});
