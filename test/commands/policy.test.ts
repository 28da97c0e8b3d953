import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import * as devices from '../../src/commands/devices.js';
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
  for (const { register } of [policy, rings, devices, report, points]) register(root);
  let code = 0;
  try {
    await root.parseAsync([...args], { from: 'user' });
  } catch (error) {
    if (!isMpeError(error)) throw error;
    code = error.code === 'USAGE' ? 2 : 1;
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
