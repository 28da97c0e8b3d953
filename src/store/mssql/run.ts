import { toStoreError } from './errors.js';

/**
 * Runs database work and gives its error as one of ours. Nothing is tried again here: only the
 * caller knows whether the work may run twice.
 *
 * @param doing what the work is, for the error text: `reading the site`.
 * @throws MpeError STORE_TRANSIENT or STORE_FAILED; an MpeError of the work unchanged.
 */
export async function run<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toStoreError(error, doing);
  }
}
