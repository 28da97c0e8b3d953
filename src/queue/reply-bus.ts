import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Guid } from '../protocol/guid.js';
import { bounded } from './bounded.js';
import { REPLY_KEPT_SECONDS, replyChannel, replyKey } from './names.js';
import { connectRedis } from './redis.js';

/** How a {@link ReplyBus} is opened. */
export interface ReplyBusOptions {
  readonly redisUrl: string;
  readonly siteGuid: Guid;
  /** A gateway process's own id, to receive replies; null for a worker, which only publishes. */
  readonly gatewayId: string | null;
  readonly log: Logger;
}

/** What narrows a wait. */
export interface WaitOptions {
  /** A reply that was there before the job was added: not an answer to it. */
  readonly stale?: Buffer | null | Promise<Buffer | null>;
  /** Gives the wait up. */
  readonly signal?: AbortSignal;
}

/** `m-` or `r-` and 64 hex digits. */
const JOB_ID_LENGTH = 66;
/** Half-open connections show themselves when a ping stays unanswered. */
const PING_EVERY_MS = 4000;
/** After a read that failed. */
const LOOK_AGAIN_MS = 200;

/** Somebody who waits for a reply. */
interface Waiter {
  /** Takes a reply, or null to give up. */
  readonly finish: (reply: Buffer | null) => void;
  /** Reads what is stored. */
  readonly look: () => void;
}

/**
 * Replies on their way from workers to gateways: under the job id for ten minutes, and as a
 * message to the one gateway process that added the job. Bytes in, bytes out.
 */
export class ReplyBus {
  readonly #redis: Redis;
  readonly #subscriber: Redis | null;
  readonly #siteGuid: Guid;
  readonly #log: Logger;
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #ping: NodeJS.Timeout | null;

  private constructor(options: ReplyBusOptions) {
    this.#siteGuid = options.siteGuid;
    this.#log = options.log;
    this.#redis = connectRedis(options.redisUrl, 'producer');
    if (options.gatewayId === null) {
      this.#subscriber = null;
      this.#ping = null;
      return;
    }
    const subscriber = connectRedis(options.redisUrl, 'subscriber');
    this.#subscriber = subscriber;
    subscriber.on('messageBuffer', (_channel: Buffer, message: Buffer) => this.#deliver(message));
    const channel = replyChannel(options.siteGuid, options.gatewayId);
    // ioredis subscribes again by itself after an outage, but what was published in between is
    // lost to a subscriber: everybody who waits reads once more.
    subscriber.on('ready', () => this.#subscribed(subscriber, channel));
    this.#ping = setInterval(() => void subscriber.ping().catch(() => undefined), PING_EVERY_MS);
    this.#ping.unref();
  }

  /** Opens the bus; connections are made in the background. */
  static open(options: ReplyBusOptions): ReplyBus {
    return new ReplyBus(options);
  }

  #subscribed(subscriber: Redis, channel: string): void {
    subscriber.subscribe(channel).then(
      () => {
        for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.look();
      },
      (error: unknown) => this.#log.warn({ event: 'reply.subscribe_failed', error }),
    );
  }

  #deliver(message: Buffer): void {
    const jobId = message.toString('latin1', 0, JOB_ID_LENGTH);
    const reply = message.subarray(JOB_ID_LENGTH);
    for (const waiter of this.#waiters.get(jobId) ?? []) waiter.finish(reply);
  }

  /**
   * Waits for the reply to a job: listens first, then reads, so that none is missed; a reply that
   * is stored already is found at once. Start it before adding the job and give the stored reply
   * of an earlier delivery as `stale`. An outage of Redis is waited through.
   *
   * @returns the encoded reply, or null at the end of the wait.
   */
  async waitFor(jobId: string, timeoutMs: number, options: WaitOptions = {}): Promise<Buffer | null> {
    if (options.signal?.aborted === true) return null;
    return new Promise((resolve) => {
      const giveUp = (): void => waiter.finish(null);
      const timer = setTimeout(giveUp, timeoutMs);
      const waiters = this.#waiters.get(jobId) ?? new Set<Waiter>();
      let again: NodeJS.Timeout | undefined;
      const waiter: Waiter = {
        finish: (reply) => {
          clearTimeout(timer);
          clearTimeout(again);
          options.signal?.removeEventListener('abort', giveUp);
          waiters.delete(waiter);
          if (waiters.size === 0 && this.#waiters.get(jobId) === waiters) this.#waiters.delete(jobId);
          resolve(reply);
        },
        look: () => {
          clearTimeout(again);
          Promise.all([this.read(jobId), options.stale ?? null]).then(
            ([reply, stale]) => {
              if (reply !== null && stale?.equals(reply) !== true) waiter.finish(reply);
            },
            () => {
              // The two connections come back one after the other: a subscription that stands again
              // does not mean that reading works.
              if (waiters.has(waiter)) again = setTimeout(waiter.look, LOOK_AGAIN_MS);
            },
          );
        },
      };
      options.signal?.addEventListener('abort', giveUp);
      this.#waiters.set(jobId, waiters.add(waiter));
      waiter.look();
    });
  }

  /**
   * Stores a reply for ten minutes and sends it to the gateway that added the job. Where Redis is
   * too full to store, the message still goes out.
   *
   * @throws MpeError QUEUE_UNAVAILABLE where neither worked; the outcome is in the database.
   */
  async publish(jobId: string, gatewayId: string, reply: Buffer): Promise<void> {
    const message = Buffer.concat([Buffer.from(jobId, 'latin1'), reply]);
    const stored = bounded(
      this.#redis.set(replyKey(this.#siteGuid, jobId), reply, 'EX', REPLY_KEPT_SECONDS),
      'reply',
    );
    const sent = bounded(this.#redis.publish(replyChannel(this.#siteGuid, gatewayId), message), 'reply');
    const [kept, published] = await Promise.allSettled([stored, sent]);
    if (kept.status === 'rejected') {
      if (published.status === 'rejected') throw kept.reason;
      this.#log.warn({ event: 'reply.not_stored', jobId, error: kept.reason as Error });
    }
  }

  /**
   * Reads the stored reply of a job.
   *
   * @returns null where there is none (any more).
   * @throws MpeError QUEUE_UNAVAILABLE
   */
  async read(jobId: string): Promise<Buffer | null> {
    return bounded(this.#redis.getBuffer(replyKey(this.#siteGuid, jobId)), 'reply');
  }

  /** The number of jobs waited for, for metrics. */
  waiting(): number {
    return this.#waiters.size;
  }

  /** Ends every wait with null and disconnects. */
  close(): Promise<void> {
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.finish(null);
    if (this.#ping !== null) clearInterval(this.#ping);
    this.#redis.disconnect();
    this.#subscriber?.disconnect();
    return Promise.resolve();
  }
}
