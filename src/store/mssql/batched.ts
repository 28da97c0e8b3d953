import DataLoader from 'dataloader';

/** Keys of one round trip. */
const MOST = 256;

/**
 * Look-ups of many callers in one round trip. A look-up never waits for others: while one round
 * trip runs, those that come gather, and the next takes them, so batches grow with the load alone.
 * Nothing is remembered: every look-up sees what is committed when its round trip begins.
 *
 * @param read values of keys, in the order of the keys; its error is the error of all of them
 */
export function batched<K, V>(read: (keys: readonly K[]) => Promise<readonly V[]>): (key: K) => Promise<V> {
  const waiting: (() => void)[] = [];
  let running = false;
  const loader = new DataLoader<K, V>(
    async (keys) => {
      try {
        return await read(keys);
      } finally {
        const next = waiting.shift();
        if (next === undefined) running = false;
        else next();
      }
    },
    {
      cache: false,
      maxBatchSize: MOST,
      batchScheduleFn: (start) => {
        if (running) {
          waiting.push(start);
          return;
        }
        running = true;
        // After this turn of the event loop, so that what is asked together travels together.
        setImmediate(start);
      },
    },
  );
  return (key) => loader.load(key);
}
