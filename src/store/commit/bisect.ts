/**
 * Runs work over a whole group; where that fails, over its halves, down to the single items that
 * fail alone. One bad message among 64 costs at most 13 more runs, and its neighbours succeed.
 *
 * @param run must be safe to repeat after it threw: it wrote nothing, or classifies first.
 * @param onFailed is told each item that fails alone, with its error.
 */
export async function bisect<T>(
  items: readonly T[],
  run: (part: readonly T[]) => Promise<void>,
  onFailed: (item: T, error: Error) => void,
): Promise<void> {
  if (items.length === 0) return;
  try {
    await run(items);
    return;
  } catch (error) {
    const [only] = items;
    if (items.length === 1 && only !== undefined) {
      onFailed(only, error instanceof Error ? error : new Error(String(error)));
      return;
    }
  }
  const middle = Math.ceil(items.length / 2);
  await bisect(items.slice(0, middle), run, onFailed);
  await bisect(items.slice(middle), run, onFailed);
}
