import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Metrics } from '../../src/ops/metrics.js';

/** A bound for what never comes, on a machine that is busy. */
const PATIENCE = { timeout: 60_000, interval: 50 };

/** Several ticks of the measuring timer, so that each scrape has something new. */
async function ticks(): Promise<void> {
  for (let i = 0; i < 3; i += 1) await sleep(25);
}

/** Sample lines of the text format: name → line. */
function samples(text: string): string[] {
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

describe('metrics', () => {
  test('every own name starts with mpe_, counters end in _total, no label is unbounded', async () => {
    const metrics = new Metrics('worker', { defaults: false });
    metrics.processed.inc({ type: 'CHECK_IN', outcome: 'COMMITTED' });
    const { text } = await metrics.scrape();
    const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
    expect(types.length).toBeGreaterThan(15);
    for (const [, name, type] of types) {
      expect(name).toMatch(/^mpe_[a-z_]+$/);
      expect(name?.endsWith('_total')).toBe(type === 'counter');
    }
    expect(text).not.toMatch(/\{[^}]*(message_?id|client_?id|kid|key_?id)=/i);
    metrics.close();
  });

  test('counts, and tells the release, Node and process', async () => {
    const metrics = new Metrics('gateway', { defaults: false });
    metrics.ingestRequests.inc({ route: '/v1/messages', code: '200' }, 2);
    const { text, contentType } = await metrics.scrape();
    expect(contentType).toContain('text/plain');
    expect(samples(text)).toContain('mpe_ingest_requests_total{route="/v1/messages",code="200"} 2');
    expect(text).toMatch(
      /^mpe_build_info\{version="\d+\.\d+\.\d+",node="v\d+\.\d+\.\d+",process="gateway"\} 1$/m,
    );
    expect(text).toMatch(/^mpe_event_loop_delay_seconds\{quantile="0.99"\} \d/m);
    metrics.close();
  });

  test('a collector that fails does not stop the scrape', async () => {
    const metrics = new Metrics('worker', { defaults: false });
    metrics.onScrape(() => Promise.reject(new Error('Redis is away')));
    metrics.onScrape(() => metrics.queueJobs.set({ state: 'waiting' }, 7));
    expect(samples((await metrics.scrape()).text)).toContain('mpe_queue_jobs{state="waiting"} 7');
    metrics.close();
  });

  test('a stall of the event loop is told, also where a scrape falls into it', async () => {
    const metrics = new Metrics('worker', { defaults: false });
    const longest = async (): Promise<number> => {
      const { text } = await metrics.scrape();
      return Number(/event_loop_delay_seconds\{quantile="1"\} (\S+)/.exec(text)?.[1]);
    };
    // Long enough for the measuring timer to tick, however busy the machine: it has begun once there is a value.
    await expect.poll(longest, PATIENCE).toBeGreaterThan(0);

    let last = Infinity;
    for (let round = 0; round < 5; round += 1) {
      // A stall, and the scrape that waited for its end, with no tick of the loop between them.
      const until = performance.now() + 1500;
      while (performance.now() < until);
      const ended = performance.now();
      const after: number[] = [await longest()];
      await expect
        .poll(async () => after.push(await longest()) && Math.max(...after), PATIENCE)
        .toBeGreaterThan(1.4);

      // It is not told for ever: two scrapes later it is over.
      await ticks();
      await longest();
      await ticks();
      last = await longest();
      // In less time the machine cannot have stalled again by itself: what is told then is the old one.
      if (last < 1.4 || performance.now() - ended < 1400) break;
    }
    expect(last).toBeLessThan(1.4);
    metrics.close();
  });

  test('two registries of one process do not meet', async () => {
    const [a, b] = [new Metrics('a', { defaults: false }), new Metrics('b', { defaults: false })];
    a.duplicates.inc();
    expect(samples((await b.scrape()).text)).toContain('mpe_duplicates_total 0');
    a.close();
    b.close();
  });
});
