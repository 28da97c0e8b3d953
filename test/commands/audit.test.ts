import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { operator } from '../../src/commands/incident.js';
import { personName } from '../../src/commands/operator-name.js';
import { Desk } from '../recovery/desk.js';
import { password } from '../workers/support.js';
import { Home, type Ran } from './mpe.js';

/** Whether this process may say who called sudo: only then commands can be two people's here. */
const IS_ROOT = process.getuid?.() === 0;

/** Commands over the site of a desk. */
function commands(desk: Desk): (args: readonly string[], user?: string) => Promise<Ran> {
  const home = new Home();
  return (args, user = 'alice') => home.mpe(args, { MPE_HOME: desk.site.folder, SUDO_USER: user });
}

const ok = async (ran: Promise<Ran>): Promise<string> => {
  const { code, stdout, stderr } = await ran;
  expect(code, stderr).toBe(0);
  return stdout;
};

test('mpe audit verifies, signs, exports, and names what somebody changed', async () => {
  const desk = await Desk.open();
  const mpe = commands(desk);
  const { keyId } = await desk.escrow(await desk.machine('PC-7', 'CORP\\anna'), password(1));
  await desk.ask(keyId, { ticket: 'INC-1' });
  await desk.ask(keyId, { reason: '' });
  expect(await ok(mpe(['audit', 'verify']))).toContain('2 rows, the last one 2');
  expect(await ok(mpe(['audit', 'checkpoint']))).toContain('Checkpoint of row 2');
  const csv = (await ok(mpe(['audit', 'export', '--result', 'Successful']))).trim().split('\r\n');
  expect(csv).toHaveLength(2);
  expect(csv[1]).toContain(
    `,Helpdesk,Successful,CORP\\admin,,CORP\\PC-7,Recovery Key Password,Lost PIN,${keyId},INC-1,`,
  );
  const file = join(desk.site.folder, 'audit.json');
  await ok(mpe(['audit', 'export', '--format', 'json', '--out', file, '--from', '2020-01-01T00:00:00Z']));
  expect(JSON.parse(readFileSync(file, 'utf8'))).toHaveLength(2);
  if (process.platform !== 'win32') expect(statSync(file).mode & 0o777).toBe(0o600);
  expect((await mpe(['audit', 'export', '--from', 'yesterday'])).code).toBe(2);

  const log = join(desk.site.folder, 'recovery.log');
  writeFileSync(log, desk.site.lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const key = join(desk.site.folder, 'audit-key.pub');
  writeFileSync(key, await ok(mpe(['audit', 'key'])));
  expect(readFileSync(key, 'utf8')).not.toContain('"d"');
  const full = [
    'audit',
    'verify',
    '--log',
    log,
    '--key',
    key,
    '--checkpoints',
    join(desk.site.folder, 'audit-checkpoints.jws'),
  ];
  expect(await ok(mpe(full))).toContain('3 compared');

  const db = new Database(join(desk.site.folder, 'site.db'));
  db.exec(`DROP TRIGGER MPE_Audit_NoDelete; DROP TRIGGER MPE_AuditHead_Forward; DELETE FROM MPE_Audit WHERE Sequence = 2;
    UPDATE MPE_AuditHead SET Sequence = 1, Hash = (SELECT Hash FROM MPE_Audit)`);
  db.close();
  const broken = await mpe([...full, '--json']);
  expect(broken.code).toBe(1);
  expect(JSON.parse(broken.stdout)).toMatchObject({
    ok: false,
    faults: [{ kind: 'cut', from: '2', to: '2' }],
  });
  expect((await mpe(['audit', 'checkpoint'])).stderr).toContain('AUDIT_BROKEN');
  expect((await mpe(['audit', 'key', '--create'])).code).toBe(1);
});

test('who called sudo is believed of root alone', () => {
  const own = userInfo().username;
  expect(personName('bob', 0)).toBe('bob');
  expect(personName('bob', 1000)).toBe(own);
  // Windows has no user ids.
  expect(personName('bob', undefined)).toBe(own);
  expect([personName('', 0), personName(undefined, 1000)]).toEqual([own, own]);
  expect(operator().person.name).toBe(IS_ROOT ? (process.env['SUDO_USER'] ?? own) : own);
});

test('mpe incident: one account proposes, another confirms, the list holds each key behind its row', async () => {
  const desk = await Desk.open();
  const mpe = commands(desk);
  const pc = await desk.machine('PC-7');
  const { keyId } = await desk.escrow(pc, password(1));
  expect((await mpe(['incident', 'open', '--title', 'x', '--machine', 'PC-99'])).stderr).toContain(
    'PC-99: no machine',
  );
  const list = join(desk.site.folder, 'machines.txt');
  writeFileSync(list, `# of the outage\n\nCORP\\PC-7\n${pc.clientId}\n`);
  const opened = await ok(
    mpe(['incident', 'open', '--title', 'bad driver', '--machines', list, '--hours', '2', '--json']),
  );
  const { incidentId, machines } = JSON.parse(opened) as { incidentId: string; machines: string[] };
  expect(machines).toEqual([pc.clientId]);
  const out = join(desk.site.folder, 'keys.txt');
  expect((await mpe(['incident', 'confirm', incidentId])).stderr).toContain('somebody else');
  expect(
    (await mpe(['incident', 'print', incidentId, '--out', join(desk.site.folder, 'early.txt')], 'bob'))
      .stderr,
  ).toContain('not open');
  if (!IS_ROOT) {
    // Here SUDO_USER is a name that anybody can set: it makes no second person.
    expect((await mpe(['incident', 'confirm', incidentId], 'bob')).stderr).toContain('somebody else');
    return;
  }
  expect(await ok(mpe(['incident', 'confirm', incidentId], 'bob'))).toContain('their 1 keys count as shown');
  const printed = await mpe(['incident', 'print', incidentId, '--out', out], 'bob');
  expect(printed.code, printed.stderr).toBe(0);
  expect(readFileSync(out, 'utf8')).toContain(`CORP\\PC-7\tC:\t${keyId}\t${password(1)}`);
  if (process.platform !== 'win32') expect(statSync(out).mode & 0o777).toBe(0o600);
  expect(printed.stdout + printed.stderr).not.toContain(password(1));
  // Never over a file that is there.
  expect((await mpe(['incident', 'print', incidentId, '--out', out], 'bob')).code).toBe(2);
  expect(await ok(mpe(['incident', 'show']))).toMatch(/OPEN +1 .*alice +bob .*bad driver/);
  await ok(mpe(['incident', 'end', incidentId]));
  expect(await ok(mpe(['incident', 'show', incidentId]))).toContain('ENDED');
  expect(existsSync(out)).toBe(true);
  const rows = await desk.rows();
  expect(rows.map(({ source, result, actor }) => [source, result, actor])).toEqual([
    ['Command line', 'Successful', 'alice'],
    ['Command line', 'Failed', 'alice'],
    ['Command line', 'Failed', 'bob'],
    ['Command line', 'Successful', 'bob'],
    ['Command line', 'Successful', 'bob'],
    ['Command line', 'Successful', 'alice'],
  ]);
});
