import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { bounded } from './bounded.js';
import { readJob, type JobData } from './job.js';

/** A job that BullMQ failed by itself. */
export interface FailedJob {
  readonly id: string;
  /** Null where the data is not a job of ours. */
  readonly data: JobData | null;
  /** BullMQ's or our own text; holds no content. */
  readonly reason: string;
}

const AT_ONCE = 100;

/**
 * Hands failed jobs to `onFailed` (which makes rows of them), then removes them from Redis. Two
 * processes may sweep at once: `onFailed` is idempotent.
 *
 * @param key Redis key of one of BullMQ's structures, or of a job.
 * @returns the number of jobs removed by this call.
 * @throws MpeError QUEUE_UNAVAILABLE
 */
export async function sweepFailed(
  redis: Redis,
  key: (name: string) => string,
  onFailed: (job: FailedJob) => Promise<void>,
  log: Logger,
): Promise<number> {
  const ids = await bounded(redis.zrange(key('failed'), '0', String(AT_ONCE - 1)), 'sweep');
  let removed = 0;
  for (const id of ids.map(String)) {
    const [raw, reason] = await bounded(redis.hmget(key(id), 'data', 'failedReason'), 'sweep');
    try {
      if (raw !== null && raw !== undefined) {
        await onFailed({ id, data: dataOf(raw), reason: reason ?? '' });
      }
    } catch (error) {
      log.warn({ event: 'queue.sweep_failed', jobId: id, error }, 'a failed job stays for the next sweep');
      continue;
    }
    const gone = redis
      .multi()
      .zrem(key('failed'), id)
      .unlink(key(id), `${key(id)}:logs`)
      .exec();
    await bounded(gone, 'sweep');
    removed += 1;
  }
  return removed;
}

function dataOf(raw: string): JobData | null {
  try {
    const read = readJob(JSON.parse(raw));
    return read.kind === 'job' ? read.data : null;
  } catch {
    return null;
  }
}
