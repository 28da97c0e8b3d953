import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { jobIdOf, type JobData } from '../queue/index.js';
import type { GatewayContext } from './context.js';
import { waitPreference } from './preference.js';

/**
 * Puts a job into the queue and waits for its reply as long as the client asked with
 * `Prefer: wait=N`. Listens before it adds, so that no reply is missed; what was stored for an
 * earlier delivery is no reply to this one.
 *
 * The wait ends early when the client goes away or the gateway goes down.
 *
 * @returns the encoded reply; null where none came in time (the job is in the queue).
 * @throws MpeError QUEUE_UNAVAILABLE | QUEUE_FULL where the job is not, or perhaps not, in the queue.
 */
export async function submitAndWait(
  context: GatewayContext,
  request: FastifyRequest,
  reply: FastifyReply,
  job: JobData,
): Promise<{ readonly bytes: Buffer | null; readonly waited: boolean }> {
  const seconds = waitPreference(request.headers['prefer']);
  if (seconds !== null) reply.header('preference-applied', `wait=${seconds}`);
  if (seconds === null || seconds === 0) {
    await context.queue.add(job);
    return { bytes: null, waited: false };
  }
  const jobId = jobIdOf(job);
  const done = new AbortController();
  const gone = (): void => done.abort();
  reply.raw.once('close', gone);
  const signal = AbortSignal.any([done.signal, context.drain]);
  try {
    const stale = context.replies.read(jobId).catch(() => null);
    const waiting = context.replies.waitFor(jobId, seconds * 1000, { stale, signal });
    await context.queue.add(job);
    if ((await stale) !== null) await addAgainWhereItJustEnded(context, job, waiting);
    return { bytes: await waiting, waited: true };
  } finally {
    reply.raw.off('close', gone);
    done.abort();
  }
}

/** Long enough for a worker to take a job out of the queue after it has answered it. */
const JUST_ENDED_MS = 300;

/**
 * A worker answers a job shortly before it takes it out of the queue. A re-send that falls between
 * the two finds the job in the queue and adds nothing, and no reply would come. So where there was a
 * reply before and none has come, and the job is gone, it is added once more.
 */
async function addAgainWhereItJustEnded(
  context: GatewayContext,
  job: JobData,
  waiting: Promise<Buffer | null>,
): Promise<void> {
  const answered = await Promise.race([waiting.then(() => true), sleep(JUST_ENDED_MS, false)]);
  if (answered) return;
  try {
    if ((await context.queue.state(jobIdOf(job))) === 'absent') await context.queue.add(job);
  } catch {
    // The message is accepted: the first add said so. Without Redis the wait just runs out.
  }
}
