// What the scripts print with: colours and redrawn lines on a terminal, plain text elsewhere.

/** True where colours and redrawn lines are wanted: a terminal, and no NO_COLOR. */
export const fancy = Boolean(process.stdout.isTTY) && !process.env.NO_COLOR && !process.env.CI;

const paint = (code) => (text) => (fancy ? `\u001b[${code}m${text}\u001b[0m` : String(text));
export const green = paint('32');
export const red = paint('31');
export const yellow = paint('33');
export const dim = paint('2');
export const bold = paint('1');

/** Milliseconds as people read them: 85 ms, 3.1 s, 2 min 5 s. */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 100_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Prints one finished step. */
export function step(text) {
  console.log(`   ${green('✓')} ${text}`);
}

/** A failure whose text is complete for the reader: no stack is printed with it. */
export class Refusal extends Error {}

/** Runs a script's main function; a Refusal prints its text alone, both end with exit code 1. */
export async function runMain(main) {
  try {
    const code = await main();
    if (typeof code === 'number') process.exitCode = code;
  } catch (error) {
    console.error(error instanceof Refusal ? `${red('✗')} ${error.message}` : error);
    process.exitCode = 1;
  }
  // What failed half-way may hold connections open.
  process.exit();
}
