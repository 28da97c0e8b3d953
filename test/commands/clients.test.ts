import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import type { Pipeline } from '../../src/workers/pipeline.js';
import { TestClient, TestSite } from '../workers/support.js';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
let site: TestSite;
let pipeline: Pipeline;
beforeAll(async () => {
  site = await TestSite.create();
  pipeline = await site.pipeline({ registration: { ways: ['token', 'approval'], pendingMax: 10 } });
});

/** Runs `mpe …` from the sources, as a process of its own. */
async function mpe(...args: readonly string[]): Promise<{ code: number | null; text: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], {
    env: { PATH: process.env['PATH'], MPE_HOME: site.folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const parts: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => parts.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => parts.push(chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, text: Buffer.concat(parts).toString() };
}

describe('mpe clients', () => {
  test('pending, approve: what waits, what is odd about it, and what was approved', async () => {
    const known = await site.client();
    const reimaged = await TestClient.unregistered(site);
    const job = await reimaged.registration({ tokenHash: null });
    expect(await pipeline.processRegistration(job)).toMatchObject({ status: 'PENDING' });

    const listed = await mpe('clients', 'pending');
    expect(listed.code).toBe(0);
    expect(listed.text).toContain(reimaged.clientId);
    expect(listed.text).toContain(reimaged.key.kid);
    const wrong = await mpe('clients', 'approve', known.clientId);
    expect(wrong.code).not.toBe(0);
    expect(wrong.text).toContain('nothing waits');
    const approved = await mpe('clients', 'approve', reimaged.clientId, '--kid', reimaged.key.kid);
    expect(approved.text).toContain('is registered, epoch 1');
    expect(await pipeline.processRegistration(job)).toMatchObject({ status: 'ALREADY_REGISTERED' });
    expect((await mpe('clients', 'pending')).text).toContain('nothing waits');
    expect((await mpe('clients', 'show', reimaged.clientId)).text).toMatch(/operator \S+/);
    for (const state of ['block', 'unblock']) await mpe('clients', state, reimaged.clientId);
    expect((await mpe('clients', 'tag', reimaged.clientId, 'pilot')).text).toContain('has the tag pilot now');
    expect((await mpe('clients', 'tag', newGuid(), 'pilot')).code).toBe(2);
    const rows = await site.store.disclosure.auditAfter(0n, 10);
    const client = `client ${reimaged.clientId}`;
    expect(rows.map(({ reason, detail }) => `${reason}: ${detail}`)).toEqual([
      `Client approved: ${client}, key ${reimaged.key.kid}`,
      `Client blocked: ${client}`,
      `Client unblocked: ${client}`,
      `Client tagged: ${client}, tag pilot`,
    ]);
  });

  test('merge writes what it says, and list --flagged names clones', async () => {
    const [old, now] = [await site.client(), await site.client()];
    const cloned = new TestClient(site, newGuid(), old.key);
    await pipeline.processRegistration(await cloned.registration());
    expect((await mpe('clients', 'list', '--flagged')).text).toMatch(new RegExp(`${old.clientId}.*CLONE`));
    expect((await mpe('clients', 'merge', old.clientId, now.clientId)).code).toBe(0);
    expect((await mpe('clients', 'show', now.clientId)).text).toContain(`client ${old.clientId} was MERGED`);
    const again = await mpe('clients', 'merge', old.clientId, now.clientId);
    expect(again.code).not.toBe(0);
    expect(again.text).toContain('was merged into');
  });
});

describe('mpe enrolment-tokens', () => {
  test('create takes a time with a unit; list shows the uses', async () => {
    const made = await mpe('enrolment-tokens', 'create', '--uses', '45000', '--expires', '14d', '--tag', 'x');
    expect(made.text).toContain('45000 uses');
    const id = /Token (\S+),/.exec(made.text)![1]!;
    expect((await mpe('enrolment-tokens', 'revoke', newGuid())).text).toContain('there is no token');
    expect((await mpe('enrolment-tokens', 'revoke', id)).text).toContain('is revoked');
    const [created, revoked] = (await site.store.disclosure.auditAfter(0n, 100)).slice(-2);
    expect([created?.reason, revoked?.reason]).toEqual([
      'Enrolment token created',
      'Enrolment token revoked',
    ]);
    expect(created?.detail).toMatch(new RegExp(`^token ${id}, 45000 uses, until .*, tag x$`));
    expect((await mpe('enrolment-tokens', 'list')).text).toMatch(/revoked\s+0\s+45000\s+45000/);
    for (const wrong of ['14', '0d', '3651d', '1y']) {
      const refused = await mpe('enrolment-tokens', 'create', '--expires', wrong);
      expect(refused.code).not.toBe(0);
      expect(refused.text).toContain('--expires must be');
    }
  });
});
