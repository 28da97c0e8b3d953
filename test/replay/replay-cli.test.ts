import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { tempFolder } from '../support/temp.js';
import { copyOfFixtures, edit, FIXTURES, mpe } from './support.js';

describe('mpe replay', () => {
  test('ends with 0 where everything is as expected, and writes both reports', async () => {
    const folder = tempFolder();
    const [junit, json] = [join(folder, 'junit.xml'), join(folder, 'report.json')];
    const args = ['replay', '--only', 'moved-disk*', '--order', 'reverse', '--junit', junit, '--json', json];
    const { status, stdout, stderr } = await mpe(args);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^2 cases {2}2 ok {2}8 sent {2}reverse order/m);
    expect(readFileSync(junit, 'utf8')).toMatch(
      /<testsuite name="fixtures standard" tests="2" failures="0"[^]*<testcase classname="fixtures.standard" name="moved-disk"/,
    );
    expect(JSON.parse(readFileSync(json, 'utf8'))).toMatchObject({
      exitCode: 0,
      sets: [{ site: 'standard', outcomes: { COMMITTED: 4, REGISTERED: 4 } }],
    });
  });

  test('ends with 1 at a wrong expectation, and names the path and each row that differs', async () => {
    const folder = copyOfFixtures('moved-disk');
    edit(folder, 'moved-disk', (json) => {
      json.steps[1].expect.volumes[0].keys[0].status = 'SECRET_REQUIRED';
      json.rows.keys[0].provenBy = ['old'];
    });
    const { status, stdout } = await mpe(['replay', '--fixtures', folder]);
    expect(status).toBe(1);
    expect(stdout).toContain(
      '✗ moved-disk/new  reply.volumes[0].keys[0].status   expected SECRET_REQUIRED   got COMMITTED',
    );
    expect(stdout).toContain('site: 1 row differs');
    expect(stdout).toMatch(/\+ proofs new 1 @k @disk RECOVERY_PASSWORD=@p/);
    expect(stdout).toMatch(/^exit 1$/m);
  });

  test('ends with 2 where a report cannot be written: 1 would say that an answer differs', async () => {
    for (const option of ['--junit', '--json']) {
      const path = join(tempFolder(), 'absent', 'report');
      const { status, stderr } = await mpe(['replay', '--only', 'moved-disk', option, path]);
      expect(status, option).toBe(2);
      expect(stderr).toContain(`${path} cannot be written`);
    }
  });

  test('ends with 2 at a bad fixture, naming file and JSON path', async () => {
    const folder = copyOfFixtures('moved-disk');
    edit(folder, 'moved-disk', (json) => {
      json.steps[1].send.client = 'nobody';
      json.steps[0].expects = {};
    });
    const { status, stderr } = await mpe(['replay', '--fixtures', folder]);
    expect(status).toBe(2);
    expect(stderr).toMatch(/moved-disk\.json at steps\[0\]: Unrecognized key: "expects"/);
  });

  test('ends with 2 where a case was edited and not built', async () => {
    const folder = copyOfFixtures('moved-disk');
    edit(folder, 'moved-disk', (json) => (json.steps[1].send.sequence = '77'));
    const { status, stderr } = await mpe(['replay', '--fixtures', folder]);
    expect(status).toBe(2);
    expect(stderr).toMatch(/not built since it was edited \(new\); run mpe fixtures build/);
  });

  test('ends with 3 where the gateway does not answer', async () => {
    const { status, stderr } = await mpe(['replay', '--gateway', 'https://127.0.0.1:9', '--only', 'canary']);
    expect(status).toBe(3);
    expect(stderr).toMatch(/UNREACHABLE/);
  });

  test('ends with 4 where a secret of a fixture lies in clear, without repeating it', async () => {
    const leak = join(tempFolder(), 'leak.log');
    const secret = '517209-212278-025487-235334-524337-605649-005247-503096';
    writeFileSync(leak, `{"event":"x","job":"${Buffer.from(`pw=${secret}`).toString('base64')}"}\n`);
    const { status, stdout, stderr } = await mpe(['replay', '--only', 'canary', '--scan', leak]);
    expect(status).toBe(4);
    expect(stdout).toMatch(/SECRET FOUND in .*leak\.log at byte \d+: canary: RECOVERY_PASSWORD in base64/);
    expect(stdout + stderr).not.toContain(secret.slice(0, 13));
  });

  test('never updates where CI is set, and does where it is not', async () => {
    const folder = copyOfFixtures('tpm-present');
    edit(folder, 'tpm-present', (json) => {
      json.steps[0].expect = { disposition: 'REJECTED', reason: 'MALFORMED' };
      json.rows.keys = [];
    });
    const args = ['replay', '--fixtures', folder, '--update'];
    const refused = await mpe(args, { CI: 'true' });
    expect(refused.status).toBe(2);
    expect(refused.stderr).toMatch(/--update is refused where CI is set/);
    expect((await mpe(args)).stdout).toMatch(/updated .*tpm-present\.json/);
    expect((await mpe(['replay', '--fixtures', folder])).status).toBe(0);
    expect(JSON.parse(readFileSync(join(folder, 'cases/tpm-present.json'), 'utf8'))).toEqual(
      JSON.parse(readFileSync(join(FIXTURES, 'cases/tpm-present.json'), 'utf8')),
    );
  });

  test('lets the site stand at a time, keeps it, and finds nothing to write the second time', async () => {
    const dir = join(tempFolder(), 'sites');
    const args = ['replay', '--only', 'rotation', '--at', '2031-01-01T00:00:00Z', '--store-dir', dir];
    const first = await mpe(args);
    expect(first.status).toBe(0);
    const again = await mpe([...args, '--order', 'seed', '--seed', '9']);
    expect(again.stdout).toContain('0 found');
    expect(again.status).toBe(0);
    const hash = /site hash {2}([0-9a-f]{64})/;
    expect(hash.exec(again.stdout)?.[1]).toBe(hash.exec(first.stdout)?.[1]);
    const db = join(dir, 'standard/site.db');
    const printed = await mpe(['site', 'hash'], { MPE_STORE_URL: `sqlite:${db}` });
    expect(printed.stdout.trim()).toBe(hash.exec(first.stdout)?.[1]);

    const dump = await mpe(['site', 'dump'], { MPE_STORE_URL: `sqlite:${db}` });
    const file = join(tempFolder(), 'dump.txt');
    writeFileSync(file, dump.stdout);
    expect(await mpe(['site', 'diff', db, file])).toMatchObject({ status: 0, stdout: 'no difference\n' });
    writeFileSync(file, dump.stdout.replace(/^proofs.*\n/m, ''));
    const diff = await mpe(['site', 'diff', db, file]);
    expect(diff.status).toBe(1);
    expect(diff.stdout).toMatch(/^- proofs [^]*1 rows? differ/);
  });
});
