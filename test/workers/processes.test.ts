import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { MessageReply } from '../../src/protocol/client-message.js';
import { newGuid } from '../../src/protocol/guid.js';
import { messageJobId } from '../../src/queue/index.js';
import { filesBelow, spellingsOfPassword } from '../support/canary.js';
import { readApart } from '../support/read-apart.js';
import { TestRedis } from '../support/redis.js';
import { Gateway, isRunning, kill, MpeProcess, until } from './runtime-support.js';
import { checkIn, escrow, password, TestSite, volume, type Sent, type TestClient } from './support.js';

// Workers start again and again, each from the sources: on a busy machine this takes minutes.
vi.setConfig({ testTimeout: 400_000 });

let site: TestSite;
let redis: TestRedis;
let client: TestClient;
beforeAll(async () => {
  [site, redis] = await Promise.all([TestSite.create(), TestRedis.start()]);
  client = await site.client();
});
afterAll(() => redis.stop());

const someKeys = (from: number, count: number): Promise<Sent[]> =>
  Promise.all(
    Array.from({ length: count }, (_, i) =>
      client.message(escrow(volume([{ password: password(from + i) }]))),
    ),
  );
const committed = async (sent: Sent): Promise<boolean> =>
  (await site.store.findOutcome(client.clientId, sent.job.messageId))?.disposition === 'COMMITTED';
async function allCommitted(messages: readonly Sent[]): Promise<boolean> {
  return (await Promise.all(messages.map(committed))).every((done) => done);
}
/** Does something while somebody holds the database's write lock: commits are tried again and again. */
async function locked(work: () => Promise<void>): Promise<void> {
  const blocker = new Database(`${site.folder}/site.db`, { timeout: 60_000 });
  try {
    blocker.exec('BEGIN IMMEDIATE');
    await work();
  } finally {
    blocker.close();
  }
}
const dispositions = async (replies: readonly Promise<MessageReply>[]): Promise<Set<string>> =>
  new Set((await Promise.all(replies)).map(({ disposition }) => disposition));

test('workers killed in mid work: every message lands once, and every sender is answered', async () => {
  const before = await site.store.counts();
  const supervisor = new MpeProcess(site, redis, ['worker', '--processes', '2', '--concurrency', '8']);
  const gateway = new Gateway(site, redis);
  const messages: Sent[] = [];
  const replies: Promise<MessageReply>[] = [];
  for (let kills = 0; kills < 3; kills += 1) {
    // Two of them live and have nothing to do.
    await supervisor.ready(2 + kills);
    const batch = await someKeys(1000 + 27 * kills, 27);
    let stalled = 0;
    await locked(async () => {
      replies.push(...(await gateway.send(...batch)));
      // More than one process takes: the victim, which lives, has some in hand.
      await until(async () => (await gateway.queue.depth()).active > 8);
      stalled = supervisor.count('queue.stalled');
      kill(supervisor.children()[kills]!);
    });
    messages.push(...batch);
    await until(() => allCommitted(messages));
    await gateway.empty();
    // This kill left jobs behind, which came again.
    await until(() => supervisor.count('queue.stalled') > stalled);
  }
  expect([...(await dispositions(replies))].sort()).toContain('COMMITTED');
  expect(await allCommitted(messages)).toBe(true);
  const after = await site.store.counts();
  expect([
    after.outcomes - before.outcomes,
    after.keys - before.keys,
    after.secrets - before.secrets,
  ]).toEqual([81, 81, 81]);
  expect(after.deadLetters).toBe(0);
  supervisor.child.kill('SIGTERM');
  await supervisor.ended;
  expect(supervisor.child.exitCode).toBe(0);
});

test('a message that kills its worker ends as a dead letter; its 30 neighbours are committed', async () => {
  const poison = newGuid();
  const supervisor = new MpeProcess(site, redis, ['worker', '--processes', '2', '--concurrency', '16'], {
    MPE_TEST_POISON: poison,
  });
  await supervisor.ready(2);
  const neighbours = await someKeys(2000, 30);
  const bad = await client.message(escrow(volume([{ password: password(2999) }])), { messageId: poison });
  const order = [...neighbours.slice(0, 10), bad, ...neighbours.slice(10)];
  const replies = await new Gateway(site, redis).send(...order);
  expect(await replies[10]).toMatchObject({
    disposition: 'REJECTED',
    reason: 'DEAD_LETTERED',
    retry: 'SAME_MESSAGE_LATER',
    sealedReply: '',
  });
  await until(() => allCommitted(neighbours));
  expect(await site.store.findDeadLetter(client.clientId, poison)).toMatchObject({
    cause: 'KILLED_ITS_WORKER',
    sealed: bad.job.sealed,
  });
  expect(await site.store.findOutcome(client.clientId, poison)).toBeNull();
  // Once with its neighbours, three times alone. Another process may answer before the last end is noticed.
  await until(() => supervisor.count('child.crashed') === 4);
  expect(supervisor.lines().filter((l) => l['event'] === 'message.dead_lettered')).toHaveLength(1);

  const again = new Gateway(site, redis);
  const [reply] = await again.send(bad);
  expect((await reply)?.reason).toBe('DEAD_LETTERED');
  // Counted at least once: a delivery that lost its lock is counted again, one that meets the job it
  // repeats is not.
  await until(async () => {
    await again.add(bad);
    return ((await site.store.findDeadLetter(client.clientId, poison))?.resends ?? 0) > 0;
  });
  expect(supervisor.count('child.crashed')).toBe(4);
});

test('workers whose supervisor is killed end by themselves, also those that are still starting', async () => {
  const supervisor = new MpeProcess(site, redis, ['worker', '--processes', '2']);
  await until(() => supervisor.started().length === 2);
  supervisor.child.kill('SIGKILL');
  await supervisor.ended;
  await until(() => !supervisor.started().some(isRunning));
});

test('a second signal ends a worker at once, by that signal; what it had lands elsewhere', async () => {
  const one = new MpeProcess(site, redis, ['worker', '--processes', '1', '--concurrency', '4'], {
    MPE_WORKER_DRAIN_MS: '60000',
  });
  await one.ready(1);
  const { deadLetters } = await site.store.counts();
  const messages = await someKeys(3000, 4);
  const gateway = new Gateway(site, redis);
  const replies: Promise<MessageReply>[] = [];
  await locked(async () => {
    replies.push(...(await gateway.send(...messages)));
    await until(async () => (await gateway.queue.depth()).active > 0);
    // Redis hangs as well: what is in hand can neither be done nor put off, so the drain does not end.
    redis.pause();
    try {
      one.child.kill('SIGTERM');
      await until(() => one.count('worker.draining') === 1);
      one.child.kill('SIGTERM');
      await one.ended;
    } finally {
      redis.resume();
    }
  });
  expect([one.child.exitCode, one.child.signalCode]).toEqual([null, 'SIGTERM']);
  const other = new MpeProcess(site, redis, ['worker', '--processes', '1']);
  await other.ready(1);
  // Twice where the busy machine let a lock of a job run out: stored once all the same.
  for (const said of await dispositions(replies)) expect(['COMMITTED', 'ALREADY_COMMITTED']).toContain(said);
  for (const { job } of messages)
    await until(
      async () => (await gateway.queue.state(messageJobId(job.clientId, job.messageId))) === 'absent',
    );
  expect((await site.store.counts()).deadLetters).toBe(deadLetters);
});

test('a canary password is nowhere but sealed or encrypted, at trace level, whatever becomes of it', async () => {
  const canary = '471207-278498-422125-177177-561902-537405-468006-693451';
  const bad = canary.replace('693451', '693452');
  const one = new MpeProcess(site, redis, ['worker', '--processes', '1']);
  await one.ready(1);
  const stranger = await site.client();
  const messages = [
    await client.message(escrow(volume([{ password: canary }]))),
    await client.message(escrow(volume([{ password: bad }]))),
    await client.message(escrow(volume([{ password: canary }])), { signer: stranger.key }),
    await client.message(escrow(volume([{ password: canary }])), { payload: (p) => Buffer.concat([p, p]) }),
    await client.message(checkIn([], { machineName: 'CONTROL-NAME' })),
  ];
  await Promise.all(await new Gateway(site, redis).send(...messages));
  const files = [...filesBelow(redis.folder), ...filesBelow(site.folder)].filter((f) => !f.endsWith('.sock'));
  const texts = files.map((file) => ({ file, bytes: readApart(file) }));
  const hits = [canary, ` ${bad}`.trim()].flatMap((text) => {
    const forms = text === canary ? spellingsOfPassword(text) : new Map([['text', Buffer.from(text)]]);
    return [...forms].flatMap(([form, bytes]) =>
      texts.filter((one) => one.bytes.includes(bytes)).map(({ file }) => `${form} in ${file}`),
    );
  });
  expect(hits).toEqual([]);
  // The search finds what is there: a machine's name in the database, a sealed token in Redis' file.
  const found = (needle: string): string[] =>
    texts.filter(({ bytes }) => bytes.includes(Buffer.from(needle))).map(({ file }) => file);
  expect(found('CONTROL-NAME').some((file) => file.includes('site.db'))).toBe(true);
  expect(found(messages[0]!.job.sealed).some((file) => file.includes('appendonly'))).toBe(true);
});
