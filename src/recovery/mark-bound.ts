/** Marked in a round without a question. */
const ALWAYS = 25;
/** Beyond that, the share of what a round opened. */
const SHARE = 0.1;

/**
 * Whether so many damaged secrets may be believed and marked.
 *
 * Damage comes in ones (a bad sector, a hand in the database) or from one writer that went wrong
 * among healthy ones. Where a large share of a round fails under data keys that open, the likely
 * culprit is the reader: a mistake of this release, memory that flips bits, a database mixed from two
 * backups. A mark cannot be taken back and hides a key that a better reader could show, so then
 * nothing is marked and people are called. A small site is marked without a question: no more than
 * 25 marks can be wrong there, and each asks for a key that its machine still holds.
 */
export function mayMark(damaged: number, opened: number): boolean {
  return damaged <= Math.max(ALWAYS, opened * SHARE);
}
