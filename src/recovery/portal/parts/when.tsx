import type { View } from './view.js';

const FORMAT = new Intl.DateTimeFormat('en-GB', {
  timeZone: 'UTC',
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
});

/** A time in words, UTC; for texts where no element fits. */
export function whenText(atMs: number): string {
  return `${FORMAT.format(atMs)} UTC`;
}

/**
 * A time: UTC as it leaves the server, in the reader's own zone where the script runs. Null is a dash
 * with a word for screen readers.
 */
export function When({ atMs, absent }: { readonly atMs: number | null; readonly absent?: string }): View {
  if (atMs === null) return <span class="soft">{absent ?? 'never'}</span>;
  return (
    <time class="nowrap" datetime={new Date(atMs).toISOString()} data-local>
      {whenText(atMs)}
    </time>
  );
}
