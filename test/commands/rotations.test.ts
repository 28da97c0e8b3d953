import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomRecoveryPassword } from '../../src/client/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import { LiveSite } from '../client/live-site.js';
import { tempFolder } from '../support/temp.js';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

let site: LiveSite;
beforeAll(async () => {
  site = await LiveSite.start();
}, 120_000);
afterAll(() => site.stop());

const folder = tempFolder('mpe-rotations-');
const drivesFile = join(folder, 'drives.json');
/** A bound for what never comes. */
const PATIENCE = ['--wait', '5', '--timeout', '150'];

/** `mpe …` as a process of its own. */
async function mpe(...args: readonly string[]) {
  const store = site.config.store;
  const env: Record<string, string> = {
    PATH: process.env['PATH'] ?? '',
    MPE_STORE_URL: store.kind === 'sqlite' ? `sqlite:${store.path}` : '',
    MPE_CLIENT_HOME: join(folder, 'client'),
  };
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], { env });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, out, err };
}

test(
  'an operator asks for a rotation, the client follows, the list shows it; no key is printed',
  { timeout: 400_000 },
  async () => {
    const [volumeId, keyId, recoveryPassword] = [newGuid(), newGuid(), randomRecoveryPassword()];
    const drives = { volumes: [{ volumeId, volumeType: 'OS', protectors: [{ keyId, recoveryPassword }] }] };
    writeFileSync(drivesFile, JSON.stringify(drives));
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, site.enrolmentToken);
    expect((await mpe('client', 'enrol', '--url', site.url, '--token-file', tokenFile)).code).toBe(0);
    const first = await mpe('client', 'follow', '--drives', drivesFile, ...PATIENCE);
    expect(first.code, first.err).toBe(0);
    const { clientId } = JSON.parse((await mpe('client', 'show', '--json')).out) as { clientId: string };

    const asked = await mpe('rotations', 'request', '--machine', clientId.toUpperCase(), '--json');
    expect(asked.code, asked.err).toBe(0);
    const [request] = JSON.parse(asked.out) as { requestId: string; keyId: string; opened: boolean }[];
    expect(request).toMatchObject({ keyId, opened: true });
    const listed = await mpe('rotations', 'list');
    expect(listed.out).toContain('REQUIRED');
    expect(listed.out).toContain(keyId);

    const followed = await mpe('client', 'follow', '--drives', drivesFile, ...PATIENCE, '--verbose');
    expect(followed.code, followed.err).toBe(0);
    expect(followed.err).toContain('"mbamEventId":30');
    const after = readFileSync(drivesFile, 'utf8');
    expect(after).not.toContain(keyId);

    const show = await mpe('rotations', 'show', request!.requestId);
    expect(show.out).toContain('COMPLETED');
    expect(show.out).toContain(`told client ${clientId}`);
    const json = await mpe('rotations', 'show', request!.requestId, '--json');
    expect(JSON.parse(json.out)).toMatchObject({ state: 'COMPLETED', origin: 'OPERATOR', overdue: false });

    const list = join(folder, 'machines.txt');
    writeFileSync(list, `# lent out\n${clientId}\n\n`);
    const again = await mpe('rotations', 'request', '--list', list, '--deadline-hours', '1', '--json');
    const [second] = JSON.parse(again.out) as { requestId: string }[];
    const abandon = await mpe('rotations', 'abandon', second!.requestId, '--reason', 'shredded');
    expect(abandon.code, abandon.err).toBe(0);
    const closed = await mpe('rotations', 'list', '--closed', '--state', 'ABANDONED', '--json');
    expect(JSON.parse(closed.out)).toMatchObject([{ requestId: second!.requestId, closeReason: 'shredded' }]);

    const audited = await site.store.disclosure.auditAfter(0n, 10);
    expect(audited).toMatchObject([
      { source: 'Command line', reason: 'Rotation requested', detail: `client ${clientId}`, keyType: '' },
      { source: 'Command line', reason: 'Rotation requested', detail: `client ${clientId}`, keyType: '' },
      { reason: 'Rotation abandoned: shredded', keyType: '', keyId: '' },
    ]);
    expect(audited[2]?.detail).toContain(second!.requestId);

    const passwords = /\d{6}-\d{6}/;
    for (const { out, err } of [first, asked, listed, followed, show, json, again, abandon, closed])
      expect(`${out}${err}`).not.toMatch(passwords);
  },
);

test('wrong calls say what is wrong and what to do', { timeout: 240_000 }, async () => {
  const calls: [readonly string[], number, string][] = [
    [['request'], 2, 'give one of --volume, --machine and --list'],
    [['request', '--list', join(folder, 'nothing')], 2, 'cannot be read'],
    [['list', '--state', 'LOST'], 2, '--state is of REQUIRED'],
    [['list', '--overdue', '--closed'], 2, 'a closed rotation is not overdue'],
    [['show', newGuid()], 2, 'there is no rotation request'],
    [['abandon', newGuid(), '--reason', 'x'], 1, 'there is no rotation request'],
    [['abandon', newGuid(), '--reason', ' '], 1, 'give a reason'],
    [['request', '--volume', newGuid()], 1, ''],
  ];
  for (const [args, code, text] of calls) {
    const ran = await mpe('rotations', ...args);
    expect(ran.code, args.join(' ')).toBe(code);
    expect(ran.err, args.join(' ')).toContain(text);
  }
});
