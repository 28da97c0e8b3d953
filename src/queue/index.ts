export { redisFault } from './bounded.js';
export { QueueConsumer, type ConsumerOptions, type JobVerdict, type TakenJob } from './consumer.js';
export type { QueueDepth } from './depth.js';
export {
  JOB_FORMAT,
  jobFormatOf,
  jobIdOf,
  messageJobId,
  readJob,
  registrationJobId,
  type JobChannel,
  type JobData,
  type MessageJob,
  type RegistrationJob,
} from './job.js';
export { REPLY_KEPT_SECONDS } from './names.js';
export { NONCE_SECONDS, NonceStore } from './nonces.js';
export { Presence, readPresent, type Present } from './presence.js';
export {
  RateLimits,
  type LimitVerdict,
  type LimitedKey,
  type RateLimit,
  type RateLimitsOptions,
} from './rate-limits.js';
export { connectRedis, type RedisRole } from './redis.js';
export { ReplyBus, type ReplyBusOptions, type WaitOptions } from './reply-bus.js';
export { checkRedisSettings } from './settings.js';
export { Strikes } from './strikes.js';
export { SubmitQueue, type SubmitQueueOptions } from './submit-queue.js';
export type { FailedJob } from './sweep.js';
export { takeTurn } from './turn.js';
