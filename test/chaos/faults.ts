import { setTimeout as sleep } from 'node:timers/promises';
import type { Engine } from '../support/engine.js';
import type { FaultProxy } from '../support/fault-proxy.js';
import type { SeededRandom } from '../support/random.js';

/**
 * What is hit: processes are killed with -9. The database server is not ours to kill; all connections
 * to it fall silent and are cut a moment later, so that answers are lost, that of COMMIT included.
 */
export type Victim = 'worker' | 'gateway' | 'redis' | 'database';

/** One planned kill. */
export interface Fault {
  /** Strikes when this many messages have a verified reply … */
  readonly afterReplies: number;
  /** … and this many milliseconds have passed. */
  readonly delayMs: number;
  readonly victim: Victim;
  /** Which worker, from 0. */
  readonly worker: number;
  /** How long it stays away. */
  readonly downMs: number;
}

/** What can be hit in a campaign on SQLite. */
export const PROCESSES: readonly Victim[] = ['worker', 'gateway', 'redis'];

/**
 * The kills of one run: every kind of victim equally often, in random order. Messages are sent in as
 * many waves as there are kills, and one more; each kill strikes at a random moment of its wave, and
 * the next wave starts with it, so that victims are missed and come back under load.
 */
export function planFaults(
  random: SeededRandom,
  messages: number,
  rounds: number,
  kinds: readonly Victim[] = PROCESSES,
): Fault[] {
  const victims = random.shuffle(Array.from({ length: rounds }, () => kinds).flat());
  const wave = messages / (victims.length + 1);
  return victims.map((victim, index) => ({
    victim,
    afterReplies: Math.ceil(index * wave + random.between(1, Math.max(1, Math.floor(wave * 0.6)))),
    delayMs: random.between(0, 60),
    worker: random.between(0, 1),
    downMs: random.between(0, 700),
  }));
}

/** What the run did, for people. */
export interface FaultReport {
  readonly victim: Victim;
  readonly pid: number;
  readonly atReplies: number;
}

/**
 * Carries the kills out one after the other while `replies()` rises, restarting each victim.
 * Ends when all are done, or when `finished()` says that no more replies will come.
 */
export async function carryOut(
  engine: Engine,
  faults: readonly Fault[],
  run: {
    replies(): number;
    finished(): boolean;
    onFault(report: FaultReport): void;
    /** Between the engine and its database, where that is one of the victims. */
    readonly proxy?: FaultProxy | undefined;
  },
): Promise<void> {
  const { proxy } = run;
  for (const fault of faults) {
    while (run.replies() < fault.afterReplies && !run.finished()) await sleep(5);
    if (run.finished()) break;
    await sleep(fault.delayMs);
    const pid = pidOf(engine, fault);
    await strike(engine, fault, proxy);
    run.onFault({ victim: fault.victim, pid, atReplies: run.replies() });
    await sleep(fault.downMs);
    await restart(engine, fault, proxy);
  }
}

function pidOf(engine: Engine, fault: Fault): number {
  if (fault.victim === 'database') return 0;
  if (fault.victim === 'redis') return engine.redis.pid;
  const victim = fault.victim === 'gateway' ? engine.gateway : engine.workers[fault.worker];
  return victim?.pid ?? 0;
}

async function strike(engine: Engine, fault: Fault, proxy: FaultProxy | undefined): Promise<void> {
  switch (fault.victim) {
    case 'database':
      return proxy?.silenceAll();
    case 'redis':
      return engine.redis.kill();
    case 'gateway':
      return engine.gateway?.kill();
    case 'worker':
      return engine.workers[fault.worker]?.kill();
  }
}

async function restart(engine: Engine, fault: Fault, proxy: FaultProxy | undefined): Promise<void> {
  switch (fault.victim) {
    case 'database':
      proxy?.heal();
      return proxy?.cutAll();
    case 'redis':
      return engine.redis.start();
    case 'gateway':
      return engine.startGateway();
    case 'worker':
      return engine.startWorker(fault.worker);
  }
}
