import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process that still runs. */
export interface Leftover {
  readonly pid: number;
  readonly command: string;
}

/**
 * Processes, other than this one, that have `marker` (a private folder's path) in their command line
 * or environment. On Linux from /proc, elsewhere by ps.
 */
export function processesUsing(marker: string): Leftover[] {
  if (process.platform === 'linux') return fromProc(marker);
  const text = execFileSync('ps', ['-Aeo', 'pid=,command='], { encoding: 'utf8' });
  return text
    .split('\n')
    .map((line) => /^\s*(\d+)\s+(.*)$/.exec(line))
    .filter((match) => match?.[2]?.includes(marker))
    .map((match) => ({ pid: Number(match?.[1]), command: match?.[2] ?? '' }))
    .filter(({ pid }) => pid !== process.pid);
}

function fromProc(marker: string): Leftover[] {
  const found: Leftover[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      // A zombie has neither: it holds nothing any more.
      const environment = readFileSync(`/proc/${name}/environ`, 'utf8');
      if (command.includes(marker) || environment.includes(marker))
        found.push({ pid: Number(name), command });
    } catch {
      // It ended while we looked, or is not ours to read.
    }
  }
  return found;
}

/** Fails when a process of that folder is still there after a moment of grace. */
export async function expectNoLeftovers(marker: string, graceMs = 10_000): Promise<void> {
  const until = performance.now() + graceMs;
  let left = processesUsing(marker);
  while (left.length > 0 && performance.now() < until) {
    await sleep(50);
    left = processesUsing(marker);
  }
  if (left.length > 0)
    throw new Error(`left running: ${left.map(({ pid, command }) => `${pid} ${command}`).join('; ')}`);
}
