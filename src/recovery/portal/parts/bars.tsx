import { Badge } from './badge.js';
import type { View } from './view.js';

const percent = (part: number, whole: number): number => (whole === 0 ? 0 : (100 * part) / whole);

/** A share in words: one decimal, never 100 or 0 unless it is. */
export function shareText(part: number, whole: number): string {
  if (whole === 0) return 'none';
  const share = percent(part, whole);
  if (part === whole) return '100 %';
  if (part === 0) return '0 %';
  return `${Math.min(99.9, Math.max(0.1, share)).toFixed(1)} %`;
}

/** A number with thin groups of three. */
export function count(value: number): string {
  return value.toLocaleString('en-GB').replaceAll(',', '\u202f');
}

/** A share as a bar. The drawing is skipped by readers: the words beside it say the same. */
export function ShareBar({
  part,
  whole,
  tone,
  track = true,
}: {
  readonly part: number;
  readonly whole: number;
  readonly tone: 'good' | 'bad';
  /** Draws the whole behind the part; not where the length is no share. */
  readonly track?: boolean;
}): View {
  const width = part === 0 ? 0 : Math.max(0.6, percent(part, whole));
  return (
    <svg
      class="bar-track"
      viewBox="0 0 100 4"
      preserveAspectRatio="none"
      aria-hidden="true"
      focusable="false"
    >
      {track ? <rect class="chart-track" width="100" height="4" /> : null}
      <rect class={`chart-${tone}`} width={width.toFixed(2)} height="4" />
    </svg>
  );
}

/** A labelled bar in a list of them. */
export function BarLine({
  label,
  part,
  whole,
  longest,
  tone,
  note,
}: {
  readonly label: string;
  readonly part: number;
  readonly whole: number;
  /** What the full length stands for, where it is not the whole. */
  readonly longest?: number;
  readonly tone: 'good' | 'bad';
  readonly note?: string;
}): View {
  return (
    <div class="stack-tight">
      <div class="row row-apart">
        <span>{label}</span>
        <span class="row">
          {note === undefined ? null : <Badge tone="warn">{note}</Badge>}
          <span class="number">
            <strong>{count(part)}</strong> <span class="soft">{shareText(part, whole)}</span>
          </span>
        </span>
      </div>
      {part === 0 ? null : (
        <ShareBar part={part} whole={longest ?? whole} tone={tone} track={longest === undefined} />
      )}
    </div>
  );
}
