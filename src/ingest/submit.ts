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
    return { bytes: await waiting, waited: true };
  } finally {
    reply.raw.off('close', gone);
    done.abort();
  }
}
