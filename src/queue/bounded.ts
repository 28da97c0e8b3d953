import { MpeError } from '../ops/errors.js';

/** The longest that a caller waits for Redis, in milliseconds: a gateway answers within 2 seconds. */
export const REDIS_BOUND_MS = 1500;

/**
 * Waits for work on Redis, at most `boundMs`. Work that is late goes on unseen: it may still take
 * effect, and its error is swallowed.
 *
 * @throws MpeError QUEUE_UNAVAILABLE on a time-out and on every error of Redis; the text names the
 *   class of fault and holds no value.
 */
export async function bounded<T>(work: Promise<T>, what: string, boundMs = REDIS_BOUND_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(
        new MpeError('QUEUE_UNAVAILABLE', `Redis did not answer within ${boundMs} ms (${what})`, {
          facts: { fault: 'TIMEOUT' },
        }),
      );
    }, boundMs);
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    if (error instanceof MpeError) throw error;
    const fault = redisFault(error);
    throw new MpeError('QUEUE_UNAVAILABLE', `Redis refused or is away (${what}): ${fault}`, {
      cause: error,
      facts: { fault },
    });
  } finally {
    clearTimeout(timer);
    // The loser of the race must not become an unhandled rejection.
    work.catch(() => undefined);
    late.catch(() => undefined);
  }
}

const ANSWERS = ['OOM', 'MISCONF', 'READONLY', 'LOADING', 'NOAUTH', 'WRONGPASS', 'NOPERM', 'BUSY'];

/** One word for what is wrong with Redis: the first word of its answer, or CONNECTION. */
export function redisFault(error: unknown): string {
  const text = error instanceof Error ? error.message : '';
  const word = /(?:^|ERR )([A-Z]{3,})\b/.exec(text)?.[1] ?? '';
  if (ANSWERS.includes(word)) return word;
  const inside = ANSWERS.find((answer) => text.includes(`${answer} `));
  return inside ?? (word === '' ? 'CONNECTION' : word);
}
