import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { Command, CommanderError } from 'commander';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import * as audit from '../../src/commands/audit.js';
import * as devices from '../../src/commands/devices.js';
import { operator } from '../../src/commands/incident.js';
import * as points from '../../src/commands/management-points.js';
import * as policy from '../../src/commands/policy.js';
import * as report from '../../src/commands/report-coverage.js';
import { ringOption } from '../../src/commands/ring-option.js';
import * as rings from '../../src/commands/rings.js';
import { isMpeError } from '../../src/ops/errors.js';
import { escrow, password, TestSite, volume } from '../workers/support.js';

let site: TestSite;
beforeAll(async () => {
  site = await TestSite.create();
  process.env['MPE_HOME'] = site.folder;
});

/** Runs `mpe …` as main.ts does, inside the test's process: one of its own costs seconds on a busy host. */
async function mpe(...args: readonly string[]): Promise<{ code: number; out: string; text: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const into = (lines: string[]) => (chunk: string | Uint8Array) => {
    lines.push(String(chunk));
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(into(out)),
    vi.spyOn(process.stderr, 'write').mockImplementation(into(err)),
  ];
  const root = new Command('mpe').exitOverride();
  for (const { register } of [policy, rings, audit, devices, report, points]) register(root);
  let code = 0;
  try {
    await root.parseAsync([...args], { from: 'user' });
  } catch (error) {
    if (!isMpeError(error) && !(error instanceof CommanderError)) throw error;
    code = error instanceof CommanderError || error.code === 'USAGE' ? 2 : 1;
    err.push(error.message);
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return { code, out: out.join(''), text: [...out, ...err].join('') };
}

describe('a ring as an option', () => {
  test('says tag, how it opens, limit, soak time and pace', () => {
    expect(ringOption('pilot')).toEqual({ tag: 'pilot' });
    expect(ringOption('b, opens=after-previous, limit=2.5%, soak=2d, per-hour=7')).toEqual({
      ...{ tag: 'b', opens: 'AFTER_PREVIOUS', failureLimit: 25, soakMinutes: 2880, rotationsPerHour: 7 },
    });
    for (const wrong of ['', 'limit=2%', 'a,limit=2', 'a,soak=9', 'a,opens=now', 'a,colour=red'])
      expect(() => ringOption(wrong)).toThrow(/--ring/);
  });
});

describe('mpe policy and rings', () => {
  test('create, deploy, open, pause, resume, retire: each says what is now', async () => {
    const made = await mpe(
      ...['policy', 'create', 'Migration', '--mode', 'manage', '--check-interval', '30', '--mbam-migration'],
      ...['--ring', 'pilot,limit=5%', '--ring', 'rest,opens=after-previous,per-hour=500'],
    );
    expect([made.code, made.text]).toEqual([0, expect.stringContaining('mpe policy deploy "Migration"')]);
    expect(made.text).toMatch(/WARNING: a check interval below 60/);
    const early = await mpe('rings', 'open', '1');
    expect([early.code, early.text]).toEqual([1, expect.stringContaining('not deployed')]);
    expect((await mpe('policy', 'deploy', 'Migration')).text).toContain('deployed, revision 2');
    expect((await mpe('rings', 'open', '1')).text).toMatch(/1 +pilot +open/);
    expect((await mpe('rings', 'pause', '1', '--reason', 'ticket 4711')).text).toContain(
      'ring 1 is paused: ticket 4711',
    );
    const now = JSON.parse((await mpe('rings', 'list', '--json')).out) as { state: string }[];
    expect(now.map((ring) => ring.state)).toEqual(['PAUSED', 'CLOSED']);
    expect((await mpe('rings', 'resume', '1')).text).toMatch(/1 +pilot +open/);
    const shown = await mpe('policy', 'show', 'migration');
    expect(shown.text).toMatch(/RING_RESUMED[^]*RING_PAUSED[^]*RING_OPENED[^]*DEPLOYED[^]*CREATED/);
    expect((await mpe('policy', 'retire', 'Migration')).text).toContain('retired');
    expect((await mpe('policy', 'list')).text).toMatch(/Default +deployed[^]*Migration +retired/);
  });

  test('set takes a file; what is wrong is said and changes nothing', async () => {
    const file = join(site.folder, 'policy.json');
    writeFileSync(file, JSON.stringify({ settings: { mode: 'OBSERVE', removableDrives: false } }));
    expect((await mpe('policy', 'set', 'Default', '--file', file, '--tpm')).text).toMatch(/mode +observe/);
    const back = await mpe(
      'policy',
      'set',
      'Default',
      '--mode',
      'escrow',
      '--recovery-information',
      'Passwords',
    );
    expect([back.code, back.text]).toEqual([
      2,
      expect.stringContaining('PasswordAndPackage or PasswordOnly'),
    ]);
    expect((await mpe('policy', 'set', 'Default')).text).toContain('say what to change');
    expect((await mpe('policy', 'set', 'Default', '--mode', 'escrow')).code).toBe(0);
  });
});

describe('the audit of mpe policy and rings', () => {
  /** What the newest rows say. */
  const newest = async (from: bigint) =>
    (await site.store.disclosure.auditAfter(from, 100)).map(({ source, helpdeskUser, result, reason }) => ({
      ...{ source, helpdeskUser, result, reason },
    }));
  const end = async (): Promise<bigint> =>
    (await site.store.disclosure.auditAfter(0n, 1000)).at(-1)?.sequence ?? 0n;

  test('has a row of each change, by the person of the history; mpe audit verify passes over them', async () => {
    const from = await end();
    const made = await mpe('policy', 'create', 'Audited', '--ring', 'pilot', '--json');
    expect(made.code, made.text).toBe(0);
    const { policyId } = JSON.parse(made.out) as { policyId: string };
    const key = '123456-123456-123456-123456-123456-123456-123456-123456';
    for (const call of [
      ['policy', 'set', 'Audited', '--check-interval', '120'],
      ['policy', 'deploy', 'Audited'],
      ['policy', 'deploy', 'Audited'],
      ['rings', 'open', '1', '--policy', 'Audited'],
      ['rings', 'pause', '1', '--policy', 'Audited', '--reason', `ticket 12, key ${key}`],
      ['rings', 'resume', '1', '--policy', 'Audited'],
      ['policy', 'retire', 'Audited'],
    ])
      expect((await mpe(...call)).code, call.join(' ')).toBe(0);
    const by = operator().person.name;
    const reasons = [
      ...[
        'Policy created',
        'Policy changed',
        'Policy deployed',
        'Ring opened',
        'Ring paused',
        'Ring resumed',
      ],
      'Policy retired',
    ];
    expect(await newest(from)).toEqual(
      reasons.map((reason) => ({ source: 'Command line', helpdeskUser: by, result: 'Successful', reason })),
    );
    const rows = await site.store.disclosure.auditAfter(from, 100);
    // Ids and times may hold any digits.
    const said = (text: string): string => text.replaceAll(policyId, '').replaceAll(/\b\d{13}\b/g, '');
    for (const row of rows) {
      expect(row).toMatchObject({ keyType: '', keyId: '', machine: '', endUser: '' });
      expect(row.detail).toContain(`policy "Audited" (${policyId})`);
      expect(said(row.detail)).not.toContain('123456');
    }
    expect(rows[4]?.detail).toContain('ring 1 (pilot): ticket 12');
    const shown = await mpe('policy', 'show', policyId, '--json');
    expect(said(shown.out)).not.toContain('123456');
    const { history } = JSON.parse(shown.out) as { history: { by: string }[] };
    expect(new Set(history.map((event) => event.by))).toEqual(new Set([by]));
    const verified = await mpe('audit', 'verify', '--json');
    expect([verified.code, JSON.parse(verified.out)]).toMatchObject([0, { ok: true, faults: [] }]);
  });

  test('what was refused has no row and changes nothing', async () => {
    const from = await end();
    expect((await mpe('policy', 'create', 'Default')).text).toContain('is there already');
    expect((await mpe('policy', 'set', 'Default', '--tag', 'a/b')).code).toBe(1);
    expect((await mpe('rings', 'open', '1', '--policy', 'Default')).text).toContain('has no rings');
    expect(await newest(from)).toEqual([]);
  });

  test('where no row can be written nothing is changed, and what to do is said', async () => {
    const from = await end();
    const db = new Database(join(site.folder, 'site.db'));
    const before = JSON.parse((await mpe('policy', 'show', 'Default', '--json')).out) as object;
    db.exec(`CREATE TRIGGER MPE_Test_NoAudit BEFORE INSERT ON MPE_Audit
      BEGIN SELECT RAISE(ABORT, 'the test forbids it'); END`);
    try {
      for (const call of [
        ['policy', 'create', 'Unaudited'],
        ['policy', 'set', 'Default', '--check-interval', '200'],
        ['policy', 'retire', 'Default'],
      ]) {
        const ran = await mpe(...call);
        expect(ran.code, call.join(' ')).toBe(1);
        expect(ran.text).toContain('nothing was changed');
        expect(ran.text).toContain('mpe migrate --roles');
        expect(ran.text).toContain('the test forbids it');
      }
    } finally {
      db.exec('DROP TRIGGER MPE_Test_NoAudit');
      db.close();
    }
    expect(JSON.parse((await mpe('policy', 'show', 'Default', '--json')).out)).toEqual(before);
    expect((await mpe('policy', 'list')).text).not.toContain('Unaudited');
    expect(await newest(from)).toEqual([]);
  });
});

test('wrong calls of mpe policy and rings say what is wrong, the range, and what to do', async () => {
  const file = (name: string, content: string): string => {
    const path = join(site.folder, name);
    writeFileSync(path, content);
    return path;
  };
  const create = ['policy', 'create', 'Wrong'];
  const settings = {
    ...{ mode: 'Manage', checkIntervalMinutes: '90', removableDrives: 'yes', colour: 1 },
    rings: [{ tag: 'a', soakMinutes: -1, opens: 'by-hand' }, { rotationsPerHour: 1e9 }],
  };
  const calls: [readonly string[], number, readonly string[]][] = [
    [['policy', 'create'], 2, ["missing required argument 'name'"]],
    [[...create, '--mode', 'foo'], 2, ['--mode must be observe, escrow or manage']],
    [[...create, '--check-interval', '0'], 2, ['--check-interval must be a whole number from 1 to 2880']],
    [[...create, '--tag', 'a/b'], 1, ['targetTag: must have 1 to 64 of A-Z a-z 0-9 . _ -']],
    [[...create, '--tag', 'a', '--all-clients'], 2, ['give --tag or --all-clients, not both']],
    [[...create, '--ring', 'a', '--no-rings'], 2, ['give --ring or --no-rings, not both']],
    [[...create, '--ring', 'a', '--tag', 'b'], 1, ['leave the one tag away']],
    [[...create, '--ring', 'a', '--ring', 'a'], 1, ['the tag a is in two rings']],
    [[...create, '--ring', 'a,limit=101%'], 2, ['"limit=101%"', 'limit is from 0% to 100%']],
    [[...create, '--ring', 'a,soak=31d'], 2, ['soak is from 0m to 30d']],
    [[...create, '--ring', 'a,soak=9'], 2, ['in m, h or d']],
    [[...create, '--ring', 'a,per-hour=200000'], 2, ['per-hour is a whole number from 0 to 100000']],
    [[...create, '--ring', 'a,opens=now'], 2, ['opens is by-hand or after-previous']],
    [[...create, '--mbam-migration'], 1, ['--mode manage', '--ring']],
    [[...create, '--file', join(site.folder, 'none')], 2, ['--file', 'cannot be read']],
    [[...create, '--file', file('text', 'mode: escrow')], 2, ['is not JSON', 'mpe policy show --json']],
    [[...create, '--file', file('list', '[1]')], 2, ['holds no settings', 'mpe policy show --json']],
    [
      [...create, '--file', file('wrong', JSON.stringify(settings))],
      1,
      [
        ...['mode: must be one of OBSERVE, ESCROW, MANAGE', 'removableDrives: must be true or false'],
        'checkIntervalMinutes: must be a whole number from 1 to 2880 (minutes)',
        'policy: "colour" is not known; it may have name, mode,',
        'ring 1, soakMinutes: must be a whole number from 0 to 43200 (minutes)',
        ...['ring 1, opens: must be BY_HAND or AFTER_PREVIOUS', 'ring 2, tag: must have 1 to 64'],
        'ring 2, rotationsPerHour: must be a whole number from 0 to 100000',
      ],
    ],
    [['policy', 'set', 'nobody', '--tpm'], 1, ['there is no policy "nobody"; see "mpe policy list"']],
    [['policy', 'deploy', 'nobody'], 1, ['see "mpe policy list"']],
    [['rings', 'open', '0'], 2, ['<ring> must be a whole number from 1 to 100']],
    [
      ['rings', 'open', '1', '--policy', 'Default'],
      1,
      ['has no rings; give it some with "mpe policy set --ring'],
    ],
  ];
  for (const [args, code, texts] of calls) {
    const ran = await mpe(...args);
    expect(ran.code, `${args.join(' ')}: ${ran.text}`).toBe(code);
    for (const text of texts) expect(ran.text, args.join(' ')).toContain(text);
  }
  expect((await mpe('policy', 'list')).text).not.toContain('Wrong');
});

describe('mpe devices, report, management-points', () => {
  test('coverage has the imported machines as its denominator', async () => {
    const client = await site.client();
    const pipeline = await site.pipeline();
    await pipeline.processMessage((await client.message(escrow(volume([{ password: password(1) }])))).job, {
      alone: false,
    });
    expect((await mpe('report', 'coverage')).text).toContain('registered clients are counted');
    const file = join(site.folder, 'machines.csv');
    writeFileSync(file, 'name,domain\nPC-1,CORP\nPC-2,CORP\nPC-2,CORP\n');
    const twice = await mpe('devices', 'import', file);
    expect([twice.code, twice.text]).toEqual([
      1,
      expect.stringContaining('line 4: PC-2 is in line 3 already'),
    ]);
    writeFileSync(file, 'name,domain\nPC-1,CORP\nPC-2,CORP\n');
    expect((await mpe('devices', 'import', file)).text).toContain('2 added');
    expect((await mpe('devices', 'import', file)).text).toContain('0 added, 0 changed, 2 as before');
    const text = (await mpe('report', 'coverage')).text;
    expect(text).toMatch(/^2 devices {3}recoverable 1 \(50\.0 %\)/);
    expect(text).toContain('never contacted 1');
    const told = JSON.parse((await mpe('report', 'coverage', '--json')).out) as {
      denominator: object;
      lines: { id: string; machines: number; examples: string[] }[];
    };
    expect(told.denominator).toEqual({ machines: 2, imported: true });
    expect(told.lines[1]).toMatchObject({ id: 'never-contacted', machines: 1, examples: ['CORP\\PC-2'] });
    expect((await mpe('report', 'coverage', '--csv')).out).toMatch(
      /^id,label,machines,of,percent,at\nrecoverable,/,
    );
    expect((await mpe('report', 'coverage', '--machines', 'never-contacted')).out).toBe('CORP\\PC-2\n');
    expect((await mpe('management-points', 'list')).text).toContain('no gateway was seen yet');
  });
});
