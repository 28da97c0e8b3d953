import type { Redis } from 'ioredis';
import { isMpeError, MpeError } from '../ops/errors.js';
import type { Logger } from '../ops/log.js';
import { checkRedisSettings } from '../queue/index.js';
import { HttpProblem } from './problems.js';

const AGAIN_MS = 5000;

/**
 * Whether Redis' settings keep what is accepted. Asked at start and after every new connection,
 * because a failover may bring up a server with other settings. Until it was asked, nothing is
 * accepted.
 */
export class RedisSafety {
  readonly #redis: Redis;
  readonly #allowUnsafe: boolean;
  readonly #log: Logger;
  #problems: readonly string[] | null = null;
  #timer: NodeJS.Timeout | null = null;
  #told = '';

  /** `redis`: a producer connection. */
  constructor(redis: Redis, allowUnsafe: boolean, log: Logger) {
    this.#redis = redis;
    this.#allowUnsafe = allowUnsafe;
    this.#log = log;
    redis.on('ready', () => void this.#ask());
  }

  /**
   * The first look.
   *
   * @throws MpeError REDIS_UNSAFE where Redis answers and its settings could lose messages. Where it
   *   does not answer, nothing is thrown: it is asked again when it is there.
   */
  async start(): Promise<void> {
    await this.#ask();
    if (this.#problems === null || this.#problems.length === 0 || this.#allowUnsafe) return;
    throw new MpeError('REDIS_UNSAFE', unsafeText(this.#problems));
  }

  /** @throws HttpProblem QUEUE_UNAVAILABLE where nothing may be accepted now. */
  assertSafe(): void {
    if (this.#problems === null) {
      throw new HttpProblem('QUEUE_UNAVAILABLE', 'Redis is not checked yet. Send the same request again.');
    }
    if (this.#problems.length > 0 && !this.#allowUnsafe) {
      throw new HttpProblem(
        'QUEUE_UNAVAILABLE',
        'Redis is set so that it could lose messages; an operator has to look. Send the same request again later.',
      );
    }
  }

  /** What is wrong, for readiness. @throws MpeError QUEUE_UNAVAILABLE | REDIS_UNSAFE */
  check(): void {
    if (this.#problems === null) throw new MpeError('QUEUE_UNAVAILABLE', 'Redis has not answered yet');
    if (this.#problems.length > 0 && !this.#allowUnsafe) {
      throw new MpeError('REDIS_UNSAFE', unsafeText(this.#problems));
    }
  }

  async #ask(): Promise<void> {
    try {
      this.#problems = await checkRedisSettings(this.#redis);
      this.#tell(this.#problems);
      if (this.#problems.length === 0) return;
    } catch (error) {
      if (!isMpeError(error, 'QUEUE_UNAVAILABLE')) throw error;
    }
    // Away, or unsafe: settings can be changed while it runs.
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask().catch(() => undefined), AGAIN_MS);
    this.#timer.unref();
  }

  #tell(problems: readonly string[]): void {
    const text = problems.join('; ');
    if (text === this.#told) return;
    this.#told = text;
    for (const problem of problems) {
      this.#log[this.#allowUnsafe ? 'warn' : 'error']({ event: 'redis.unsafe', problem }, problem);
    }
    if (problems.length === 0) this.#log.info({ event: 'redis.safe' }, 'the settings of Redis are safe now');
  }

  /** Stops asking. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}

function unsafeText(problems: readonly string[]): string {
  return ['Redis could lose accepted messages; set it right, or set MPE_REDIS_ALLOW_UNSAFE=1:']
    .concat(problems.map((problem) => `  ${problem}`))
    .join('\n');
}
