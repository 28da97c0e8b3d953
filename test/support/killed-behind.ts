import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MAIN } from './engine-process.js';
import { tempFolder } from './temp.js';

const PRELOAD = new URL('kill-behind.mjs', import.meta.url).href;

/** How a command is run. */
export interface KilledOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** What came of a command that was to be killed. */
export interface Killed {
  /** False: it was done before. */
  readonly killed: boolean;
  readonly code: number | null;
}

async function start(
  args: readonly string[],
  { cwd, env }: KilledOptions,
  more: Readonly<Record<string, string>>,
): Promise<Killed> {
  if (!existsSync(MAIN)) throw new Error('dist/main.js is absent: run npm run build first');
  const child = spawn(process.execPath, ['--import', PRELOAD, MAIN, ...args], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', ...env, ...more },
    stdio: 'ignore',
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { killed: signal === 'SIGKILL', code };
}

/**
 * Runs the built `mpe` and kills it (SIGKILL) behind its n-th change of a file or of a SQLite database:
 * at the same place every time, however fast the machine is.
 */
export function killedBehind(step: number, args: readonly string[], options: KilledOptions): Promise<Killed> {
  return start(args, options, { KILL_BEHIND: String(step) });
}

/**
 * Runs the command to its end, which must be a good one, and counts the places where it can be killed.
 */
export async function countSteps(args: readonly string[], options: KilledOptions): Promise<number> {
  const report = join(tempFolder('mpe-steps-'), 'steps');
  const { code } = await start(args, options, { KILL_BEHIND: '0', KILL_BEHIND_STEPS: report });
  if (code !== 0) throw new Error(`mpe ${args.join(' ')} ended with ${code}`);
  return Number(readFileSync(report, 'utf8'));
}

/** At most so many places of all, evenly, the first and the last among them. */
export function someOf(steps: number, most: number): readonly number[] {
  if (steps <= most) return Array.from({ length: steps }, (_, index) => index + 1);
  return Array.from({ length: most }, (_, index) => 1 + Math.round((index * (steps - 1)) / (most - 1)));
}
