import pino from 'pino';
import { onTestFinished } from 'vitest';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import { QueueConsumer, SubmitQueue, type ConsumerOptions, type MessageJob } from '../../src/queue/index.js';
import type { TestRedis } from '../support/redis.js';

/** A log that keeps its lines, for asserting on events. */
export function keptLog(): { log: pino.Logger; events: () => string[] } {
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => lines.push(line) });
  return { log, events: () => lines.map((line) => String(JSON.parse(line).event)) };
}

export const silent = pino({ level: 'silent' });

/** A well-formed job; the token is no token, which is nothing to the queue. */
export function someJob(overrides: Partial<MessageJob> = {}): MessageJob {
  const clientId = overrides.clientId ?? newGuid();
  return {
    v: 1,
    kind: 'message',
    clientId,
    messageId: newGuid(),
    bodyType: 1,
    sentAtMs: 0,
    sealed: 'a.b.c.d.e',
    traceparent: '',
    tracestate: '',
    channel: { method: 'site-token', clientId, epoch: 1 },
    gatewayId: 'gw',
    receivedAtMs: 0,
    ...overrides,
  };
}

/** A producer that is closed after the test. */
export function openQueue(redis: TestRedis, siteGuid: Guid, highWater = 1000): SubmitQueue {
  const queue = SubmitQueue.open({ redisUrl: redis.url, siteGuid, highWater, log: silent });
  onTestFinished(() => queue.close());
  return queue;
}

/** A consumer that is closed after the test. Locks are long: a busy machine must not lose them. */
export function startConsumer(
  redis: TestRedis,
  siteGuid: Guid,
  options: Partial<ConsumerOptions> & Pick<ConsumerOptions, 'process'>,
): QueueConsumer {
  const consumer = QueueConsumer.start({
    redisUrl: redis.url,
    siteGuid,
    concurrency: 4,
    lockMs: 30_000,
    stalledMs: 300,
    log: silent,
    ...options,
  });
  onTestFinished(() => consumer.close(0, { force: true }));
  return consumer;
}

/** Tries until it holds; throws the last error after 90 seconds: a bound for what never comes, not a measure. */
export async function eventually<T>(check: () => Promise<T> | T, withinMs = 90_000): Promise<T> {
  const until = performance.now() + withinMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}
