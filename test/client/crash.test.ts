import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MpeClient } from '../../src/client/index.js';
import { tempFolder } from '../support/temp.js';
import { LiveSite } from './live-site.js';

const CHILD = fileURLToPath(new URL('crash-child.ts', import.meta.url));
/**
 * One for each round: the line of the program after which it is killed, and how many milliseconds later. In
 * the midst of making a message, of sending, or of writing down a reply.
 */
const KILLS: readonly (readonly [line: number, laterMs: number])[] = [
  [2, 0],
  [7, 31],
  [12, 7],
  [18, 48],
  [24, 15],
  [31, 23],
];
/** More than anybody waits for: a program that is to be killed does not end before. */
const ENDLESS = 1_000_000;

interface Stored {
  readonly clientId: string;
  readonly nextSequence: string;
  readonly messages: readonly { messageId: string; sequence: string; payload: string }[];
}

let site: LiveSite;
beforeAll(async () => {
  site = await LiveSite.start();
});
const children = new Set<ChildProcess>();
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await site.stop();
});

/** Runs the client program; `onLine` is called with each line that it prints, and may kill it. */
async function run(
  folder: string,
  count: number,
  onLine: (line: string, number: number, kill: () => void) => Promise<void> = () => Promise.resolve(),
): Promise<string[]> {
  const child = spawn(process.execPath, ['--import', 'tsx', CHILD, folder, String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.add(child);
  const closed = once(child, 'close');
  const lines: string[] = [];
  const hooks: Promise<void>[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    const hook = onLine(line, lines.length, () => child.kill('SIGKILL'));
    // What failed kills nothing any more, and the program may be endless.
    hook.catch(() => child.kill('SIGKILL'));
    hooks.push(hook);
  });
  const [code, signal] = (await closed) as [number | null, string | null];
  children.delete(child);
  await Promise.all(hooks);
  expect(signal ?? code).toBe(count === ENDLESS ? 'SIGKILL' : 0);
  return lines;
}

test('kill -9 while making and sending loses no message and no byte, and uses no sequence twice', async () => {
  const folder = join(tempFolder(), 'client');
  const client = await MpeClient.enrol({
    url: site.url,
    enrolmentToken: site.enrolmentToken,
    state: folder,
  });
  await client.close();
  const state = (): Stored => JSON.parse(readFileSync(join(folder, 'client.json'), 'utf8')) as Stored;

  const made: { messageId: string; volumeId: string; keyId: string }[] = [];
  /** message id → sequence and payload digest, as first seen on disk. */
  const seen = new Map<string, string>();
  const sequences = new Map<string, string>();
  const look = (): void => {
    for (const { messageId, sequence, payload } of state().messages) {
      const digest = createHash('sha256').update(payload).digest('hex');
      expect(seen.get(messageId) ?? `${sequence} ${digest}`).toBe(`${sequence} ${digest}`);
      seen.set(messageId, `${sequence} ${digest}`);
      expect(sequences.get(sequence) ?? messageId).toBe(messageId);
      sequences.set(sequence, messageId);
    }
  };

  for (const [fatal, laterMs] of KILLS) {
    const lines = await run(folder, ENDLESS, async (_line, number, kill) => {
      if (number !== fatal) return;
      await sleep(laterMs);
      kill();
    });
    for (const line of lines) {
      const [word, messageId = '', volumeId = '', keyId = ''] = line.split(' ');
      if (word === 'made') made.push({ messageId, volumeId, keyId });
    }
    look();
  }
  const killed = state();
  await run(folder, 0);
  expect(state().messages).toEqual([]);

  expect(made.length).toBeGreaterThanOrEqual(KILLS.reduce((sum, [line]) => sum + line - 1, 0));
  const loaded = await MpeClient.load(folder);
  const lost = made.filter(({ volumeId, keyId }) => !loaded.isSafe(volumeId, keyId));
  expect(lost).toEqual([]);
  await loaded.close();

  // The site's side: every message once, each with a sequence of its own, none above the counter.
  const outcomes = await Promise.all(
    made.map(({ messageId }) => site.store.findOutcome(loaded.clientId, messageId as never)),
  );
  const used = outcomes.map((one) => one?.sequence);
  expect(used.every((one) => one !== undefined && one < BigInt(killed.nextSequence))).toBe(true);
  expect(new Set(used).size).toBe(made.length);
  const row = await site.store.findClient(loaded.clientId);
  expect(row?.state).toBe('ACTIVE');
});

test('the lock of a client that was killed is free at once', async () => {
  const folder = join(tempFolder(), 'client');
  const client = await MpeClient.enrol({
    url: site.url,
    enrolmentToken: site.enrolmentToken,
    state: folder,
  });
  await client.close();
  await run(folder, ENDLESS, async (line, _number, kill) => {
    if (line !== 'loaded') return;
    await expect(MpeClient.load(folder)).rejects.toMatchObject({ code: 'STATE_LOCKED' });
    kill();
  });
  const after = await MpeClient.load(folder);
  expect(after.clientId).toBe(client.clientId);
  await after.close();
});
