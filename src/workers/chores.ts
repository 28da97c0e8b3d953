import type { Redis } from 'ioredis';
import type { Config } from '../config/index.js';
import type { Clock } from '../ops/clock.js';
import type { Logger } from '../ops/log.js';
import type { Guid } from '../protocol/guid.js';
import { readPresent, type QueueConsumer } from '../queue/index.js';
import type { SiteStore } from '../store/site-store.js';
import { pruneBefore, type Chore } from './housekeeping.js';
import type { Pipeline } from './pipeline.js';
import { releaseQuarantine } from './release-quarantine.js';

const SWEEP_EVERY_MS = 5000;
const RELOAD_EVERY_MS = 10_000;
const RELEASE_EVERY_MS = 5000;
const PRUNE_EVERY_MS = 3_600_000;
const POINTS_EVERY_MS = 15_000;

/** What the chores of a worker work with. */
export interface WorkerChoresContext {
  readonly config: Config;
  readonly store: SiteStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly pipeline: Pipeline;
  readonly siteGuid: Guid;
  readonly redis: Redis;
  /** Takes jobs now. */
  readonly ready: () => boolean;
  /** null before Redis was seen to be safe. */
  readonly consumer: () => QueueConsumer | null;
}

/** What a worker does beside its jobs; every one is safe to run in several processes at once. */
export function workerChores(context: WorkerChoresContext): readonly Chore[] {
  const { config, store, clock, log, pipeline } = context;
  return [
    { name: 'sweep', everyMs: SWEEP_EVERY_MS, run: () => sweep(context) },
    { name: 'reload', everyMs: RELOAD_EVERY_MS, run: () => pipeline.site.reload() },
    { name: 'release', everyMs: RELEASE_EVERY_MS, run: () => release(context) },
    { name: 'management-points', everyMs: POINTS_EVERY_MS, run: () => notePoints(context) },
    {
      name: 'prune',
      everyMs: PRUNE_EVERY_MS,
      run: async () => {
        const pruned = await store.pruneOutcomes(pruneBefore(clock, config.outcomeRetentionDays));
        if (pruned > 0) log.info({ event: 'worker.pruned', outcomes: pruned });
      },
    },
  ];
}

/** Gateways say through Redis that they are there; the row in the site database is a worker's. */
async function notePoints({ ready, redis, siteGuid, store, clock }: WorkerChoresContext): Promise<void> {
  if (!ready()) return;
  const present = await readPresent(redis, siteGuid);
  const points = new Map(
    present.flatMap((one) =>
      one.managementPoint === undefined ? [] : [[one.managementPoint.id, one.managementPoint] as const],
    ),
  );
  await store.policy.recordManagementPoints([...points.values()], clock.now());
}

/** Messages in quarantine that can be processed by now. */
async function release(context: WorkerChoresContext): Promise<void> {
  if (!context.ready()) return;
  const { store, config, clock, log, siteGuid, redis, pipeline } = context;
  await releaseQuarantine({
    ...{ store, clock, log, siteGuid, redis },
    redisUrl: config.redis.url,
    highWater: config.queue.highWater,
    sealingKids: pipeline.site.current.openingKeys.kids(),
  });
}

/** What BullMQ failed by itself becomes a row before it leaves Redis. */
async function sweep({ consumer, log, pipeline }: WorkerChoresContext): Promise<void> {
  await consumer()?.sweepFailed(async ({ id, data, reason }) => {
    if (data === null) {
      log.error({ event: 'queue.broken_job', jobId: id, reason }, 'not a job of ours: removed');
      return;
    }
    await pipeline.addDeadLetter(data, 'QUEUE_FAILED', reason);
  });
}
