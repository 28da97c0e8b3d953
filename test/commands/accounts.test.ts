import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { URI, type TOTP } from 'otpauth';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { BREAK_GLASS_SUBJECTS } from '../../src/recovery/sign-in/lock-out.js';
import type { SessionRow } from '../../src/store/people-store.js';
import { Browser } from '../recovery/browser.js';
import { TestCa } from '../support/pki.js';
import { TestSite } from '../workers/support.js';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const SECRET = 'correct horse battery staple';
let site: TestSite;
let passwordFile: string;
beforeAll(async () => {
  site = await TestSite.create();
  passwordFile = join(site.folder, 'password');
  writeFileSync(passwordFile, `${SECRET}\n`, { mode: 0o600 });
});

/** `mpe …` from the sources, as a process of its own. */
function start(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], {
    env: { PATH: process.env['PATH'], MPE_HOME: site.folder, MPE_RECOVERY_BREAK_GLASS: 'allowed', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (part: string) => (text += part));
  }
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, ended, text: () => text };
}

async function mpe(...args: readonly string[]): Promise<{ code: number | null; text: string }> {
  const run = start(args);
  const code = await run.ended;
  return { code, text: run.text() };
}

/** A code that is the right one at no time of this test. */
function wrongCode(totp: TOTP): string {
  const now = Date.now();
  const right = Array.from({ length: 40 }, (_, n) => totp.generate({ timestamp: now + (n - 5) * 30_000 }));
  return Array.from({ length: 41 }, (_, n) => String(n).padStart(6, '0')).find(
    (code) => !right.includes(code),
  )!;
}

describe('mpe accounts', () => {
  test('add, list, roles, set-password, disable, enable; passwords come from a file and are shown nowhere', async () => {
    const from = ['--password-file', passwordFile];
    const added = await mpe(
      'accounts',
      'add',
      'CORP\\admin',
      '--role',
      'helpdesk-administrator',
      'auditor',
      ...from,
    );
    expect(added.text).toContain('Account CORP\\admin is there: helpdesk-administrator, auditor.');
    expect((await mpe('accounts', 'add', 'corp\\ADMIN', '--role', 'auditor', ...from)).code).toBe(2);
    expect((await mpe('accounts', 'add', 'Break-Glass', '--role', 'auditor', ...from)).text).toContain(
      'no local account',
    );
    expect((await mpe('accounts', 'add', 'x', '--role', 'root', ...from)).text).toContain('root is no role');
    expect((await mpe('accounts', 'roles', 'corp\\admin', 'operator')).text).toContain(
      'CORP\\admin'.toLowerCase(),
    );
    expect((await mpe('accounts', 'set-password', 'CORP\\admin', ...from)).text).toContain(
      'its sessions ended',
    );
    expect((await mpe('accounts', 'disable', 'CORP\\admin')).text).toContain('is off');
    const listed = await mpe('accounts', 'list');
    expect(listed.text).toMatch(/CORP\\admin {2}disabled {2}operator {2}last sign-in never/);
    expect((await mpe('accounts', 'enable', 'CORP\\admin')).text).toContain('is on');
    expect((await mpe('accounts', 'enable', 'CORP\\nobody')).code).toBe(2);
    const row = await site.store.people.findAccount('CORP\\admin');
    expect(row).toMatchObject({ roles: ['operator'], disabled: false, revision: 5 });
    expect(row?.passwordHash).toMatch(/^scrypt\$65536,8,1\$/);
    for (const { text } of [added, listed]) expect(text).not.toContain(SECRET);
    // Each change has its row, refused ones have none.
    const rows = await site.store.disclosure.auditAfter(0n, 100);
    expect(rows.map(({ reason, detail }) => `${reason}: ${detail}`)).toEqual([
      'Account added: CORP\\admin: helpdesk-administrator, auditor',
      'Roles of an account set: corp\\admin: operator',
      'Password of an account set: CORP\\admin',
      'Account switched off: CORP\\admin',
      'Account switched on: CORP\\admin',
    ]);
    const short = join(site.folder, 'short');
    writeFileSync(short, 'short', { mode: 0o600 });
    expect((await mpe('accounts', 'set-password', 'CORP\\admin', '--password-file', short)).text).toContain(
      '12 to 256',
    );
  }, 240_000);
});

test('mpe accounts end-sessions ends those of a person of the provider too, and of nobody else', async () => {
  const { people } = site.store;
  const now = Date.now();
  const session = (byte: number, personName: string): SessionRow => ({
    ...{ tokenHash: Buffer.alloc(32, byte), personName, roles: ['helpdesk-user'], signIn: 'oidc' },
    ...{ portal: 'helpdesk', accountRevision: null, noticeAccepted: false },
    ...{ createdAtMs: now, lastSeenAtMs: now, endsAtMs: now + 3_600_000 },
  });
  for (const row of [session(1, 'CORP\\anna'), session(2, 'CORP\\anna'), session(3, 'CORP\\ben')])
    await people.addSession(row);
  const ended = await mpe('accounts', 'end-sessions', 'corp\\ANNA');
  expect([ended.code, ended.text]).toEqual([0, expect.stringContaining('leave the group at the provider')]);
  const left = await Promise.all([1, 2, 3].map((byte) => people.findSession(Buffer.alloc(32, byte))));
  expect(left.map((found) => found !== null)).toEqual([false, false, true]);
  expect((await mpe('accounts', 'end-sessions', '')).code).toBe(2);
});

describe('mpe break-glass', () => {
  test('arm needs password and code, each code once, for a bounded time; every step is in the audit', async () => {
    const from = ['--password-file', passwordFile];
    const before = (await site.store.disclosure.auditHead()).sequence;
    const made = await mpe('break-glass', 'set-up', ...from);
    const totp = URI.parse(/otpauth:\S+/.exec(made.text)![0]) as TOTP;
    const wrong = wrongCode(totp);
    expect((await mpe('break-glass', 'status')).text).toMatch(/armed {8}no/);
    expect((await mpe('break-glass', 'arm', '--for', '25h', '--code', '000000', ...from)).text).toContain(
      '1h to 24h',
    );
    expect((await mpe('break-glass', 'arm', '--for', '4h', '--code', wrong, ...from)).code).toBe(2);
    // Who tried at the form and under the name keeps nobody from arming; arming ends the form's wait.
    const form = BREAK_GLASS_SUBJECTS.form;
    const { people } = site.store;
    await people.countFailures([form, 'account:break-glass'], Date.now(), 60_000);
    for (const one of [form, 'account:break-glass']) await people.lockUntil(one, Date.now() + 600_000);
    // The next code: the one of now may have been used a moment ago.
    const code = totp.generate({ timestamp: Date.now() + 30_000 });
    expect((await mpe('break-glass', 'arm', '--for', '4h', '--code', code, ...from)).text).toContain(
      'Armed until',
    );
    expect(await people.readFailures([form])).toEqual([]);
    expect((await mpe('break-glass', 'arm', '--for', '4h', '--code', code, ...from)).code).toBe(2);
    expect((await mpe('break-glass', 'status')).text).toMatch(/armed {8}until .* by \S+/);
    expect((await mpe('break-glass', 'disarm')).text).toContain('Not armed');
    const rows = await site.store.disclosure.auditAfter(before, 100);
    expect(rows.map(({ result, source }) => [result, source])).toEqual([
      ...[
        ['Successful', 'Command line'],
        ['Failed', 'Command line'],
        ['Successful', 'Command line'],
      ],
      ...[
        ['Failed', 'Command line'],
        ['Successful', 'Command line'],
      ],
    ]);
  }, 240_000);

  test('disarm is done although the audit takes no row, and says so', async () => {
    const db = new Database(join(site.folder, 'site.db'));
    await site.store.people.armBreakGlass(Date.now() + 600_000, 'anna');
    db.exec(`CREATE TRIGGER MPE_Test_NoAudit BEFORE INSERT ON MPE_Audit
      BEGIN SELECT RAISE(ABORT, 'the test forbids it'); END`);
    onTestFinished(() => void db.exec('DROP TRIGGER MPE_Test_NoAudit').close());
    const ran = await mpe('break-glass', 'disarm');
    expect(ran.code).toBe(1);
    expect(ran.text).toContain('is not armed and its sessions ended, but the audit took no row');
    expect((await mpe('break-glass', 'status')).text).toMatch(/armed {8}no/);
  });
});

describe('mpe recovery', () => {
  test('serves the portals beside the canary, is ready with them, and ends in order', async () => {
    const ca = await TestCa.create('Test CA');
    const { pem, keyPem } = await ca.server();
    const [key, cert] = [join(site.folder, 'tls.key'), join(site.folder, 'tls.pem')];
    writeFileSync(key, keyPem);
    writeFileSync(cert, pem);
    const run = start(['recovery'], {
      ...{ MPE_RECOVERY_LISTEN: '127.0.0.1:0', MPE_RECOVERY_OPS_LISTEN: '127.0.0.1:0' },
      ...{ MPE_RECOVERY_TLS_KEY: key, MPE_RECOVERY_TLS_CERT: cert },
    });
    const line = async (event: string): Promise<Record<string, unknown>> => {
      for (;;) {
        // The last one may be half there.
        const whole = run.text().split('\n').slice(0, -1);
        const found = whole.find((one) => one.includes(`"${event}"`));
        if (found !== undefined) return JSON.parse(found) as Record<string, unknown>;
        if (run.child.exitCode !== null) throw new Error(run.text());
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const browser = new Browser(
      `https://127.0.0.1:${String((await line('recovery.listening'))['port'])}`,
      ca.pem,
    );
    expect((await browser.get('/sign-in', { accept: 'text/html' })).text).toContain('<form');
    const home = await browser.get('/helpdesk', { accept: 'text/html' });
    expect([home.status, home.headers['content-type']]).toEqual([401, 'text/html; charset=utf-8']);
    const { opsPort } = await line('recovery.ops_listening');
    const ready = await fetch(`http://127.0.0.1:${String(opsPort)}/readyz`);
    expect(((await ready.json()) as { checks: unknown }).checks).toMatchObject({ portals: 'ok' });
    run.child.kill('SIGTERM');
    expect(await run.ended, run.text()).toBe(0);
    expect(run.text()).toContain('"recovery.closed"');
  }, 240_000);
});
