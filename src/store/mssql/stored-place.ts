/** Numbers that were not there when they were passed: rolled back, or not committed yet. */
export interface Gap {
  readonly from: number;
  readonly to: number;
  /** When it was first seen, by the server's clock. */
  readonly sinceMs: number;
}

/** How far one table was read by row numbers. */
export interface TablePlace {
  /** The highest number read. */
  readonly last: number;
  /** Below it, in order. */
  readonly gaps: readonly Gap[];
}

/** No transaction stays open that long: every time-out is shorter, and so is the server's patience. */
const FORGET_MS = 10 * 60_000;

const FORM = /^rows(?:\/\d{1,15}(?:,\d{1,15}-\d{1,15}@\d{1,15})*)+$/;

/** A place as text: `rows/<last>,<from>-<to>@<since>,…/<last>…`, one part a table. */
export function writePlace(tables: readonly TablePlace[]): string {
  const part = ({ last, gaps }: TablePlace): string =>
    [String(last), ...gaps.map(({ from, to, sinceMs }) => `${from}-${to}@${sinceMs}`)].join(',');
  return ['rows', ...tables.map(part)].join('/');
}

/** Reads a place; none where the text is not one of this store. */
export function parsePlace(text: string | null): readonly TablePlace[] {
  if (text === null || !FORM.test(text)) return [];
  return text
    .split('/')
    .slice(1)
    .map((part) => {
      const [last = '0', ...gaps] = part.split(',');
      return {
        last: Number(last),
        gaps: gaps.map((gap) => {
          const [from = 0, to = 0, sinceMs = 0] = gap.split(/[-@]/).map(Number);
          return { from, to, sinceMs };
        }),
      };
    });
}

/**
 * The place after rows were read, found in gaps or above: found numbers leave their gaps, numbers
 * that were passed become new ones, and those that were looked for long enough are forgotten.
 *
 * @param numbers row numbers that were read
 */
export function advance(place: TablePlace, numbers: readonly number[], nowMs: number): TablePlace {
  const sorted = [...numbers].sort((a, b) => a - b);
  const gaps: Gap[] = [];
  for (const gap of place.gaps) {
    if (nowMs - gap.sinceMs <= FORGET_MS) gaps.push(...without(gap, sorted));
  }
  let { last } = place;
  for (const number of sorted) {
    if (number <= last) continue;
    if (number > last + 1) gaps.push({ from: last + 1, to: number - 1, sinceMs: nowMs });
    last = number;
  }
  return { last, gaps };
}

/** What is left of a gap; `found` in order. */
function without(gap: Gap, found: readonly number[]): Gap[] {
  const rest: Gap[] = [];
  let { from } = gap;
  for (const number of found) {
    if (number < from || number > gap.to) continue;
    if (number > from) rest.push({ ...gap, from, to: number - 1 });
    from = number + 1;
  }
  if (from <= gap.to) rest.push({ ...gap, from });
  return rest;
}
