import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../ops/log.js';

/** A process to be kept running. */
export interface ChildSpec {
  /** For the log, e.g. `worker-1`. */
  readonly name: string;
  /** Arguments of `mpe`. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Given each line of its output, which is passed on in any case. */
  readonly onLine?: (line: string) => void;
}

/** Timing, for tests. */
export interface SupervisorOptions {
  readonly log: Logger;
  /** First pause before a restart; doubles while a process keeps crashing. Default 200 ms. */
  readonly firstPauseMs?: number;
  /** Default 10 s. */
  readonly longestPauseMs?: number;
  /** Called where a child says that its call or configuration is wrong: restarting cannot help. */
  readonly onHopeless?: (name: string) => void;
}

interface Kept {
  readonly spec: ChildSpec;
  child: ChildProcess | null;
  pauseMs: number;
  startedAt: number;
}

/** A child that ran this long starts over with the first pause. */
const STABLE_MS = 10_000;
/** Exit status of a wrong call or configuration. */
const EXIT_USAGE = 2;
/** From the last request to end until kill -9. */
const LAST_GRACE_MS = 2500;

/**
 * Keeps `mpe` processes running: starts them, restarts those that end with a growing pause, and
 * ends them in order. A child learns by its closing IPC channel that its parent is gone.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #kept: Kept[];
  readonly #stopping = new AbortController();

  constructor(specs: readonly ChildSpec[], options: SupervisorOptions) {
    this.#options = options;
    this.#kept = specs.map((spec) => ({
      spec,
      child: null,
      pauseMs: this.#firstPause(),
      startedAt: 0,
    }));
  }

  #firstPause(): number {
    return this.#options.firstPauseMs ?? 200;
  }

  /** Starts all of them. */
  start(): void {
    for (const kept of this.#kept) this.#spawn(kept);
  }

  /** Process ids of those that run. */
  pids(): number[] {
    return this.#kept.flatMap(({ child }) => (child?.pid === undefined ? [] : [child.pid]));
  }

  /**
   * Asks all of them to end in order and waits; nothing is restarted. `signal` ends the waiting:
   * then they are asked once more, and killed after a moment.
   */
  async stop(signal: AbortSignal): Promise<void> {
    this.#stopping.abort();
    this.#signalAll('SIGTERM');
    while (this.#running() && !signal.aborted) await sleep(20);
    if (this.#running()) await this.force();
  }

  /** Ends all of them now: the second signal, then kill -9. */
  async force(): Promise<void> {
    this.#stopping.abort();
    this.#signalAll('SIGTERM');
    for (let waited = 0; this.#running() && waited < LAST_GRACE_MS; waited += 20) await sleep(20);
    this.#signalAll('SIGKILL');
    while (this.#running()) await sleep(10);
  }

  #running(): boolean {
    return this.#kept.some(({ child }) => child !== null);
  }

  #signalAll(signal: NodeJS.Signals): void {
    for (const { child } of this.#kept) child?.kill(signal);
  }

  #spawn(kept: Kept): void {
    const { spec } = kept;
    const main = process.argv[1] ?? '';
    const child = spawn(process.execPath, [...process.execArgv, main, ...spec.args], {
      env: spec.env,
      stdio: ['ignore', spec.onLine === undefined ? 'inherit' : 'pipe', 'inherit', 'ipc'],
    });
    kept.child = child;
    kept.startedAt = performance.now();
    this.#options.log.info({ event: 'child.started', child: spec.name, childPid: child.pid });
    if (spec.onLine !== undefined) passLines(child, spec.onLine);
    child.once('error', (error) =>
      this.#options.log.error({ event: 'child.error', child: spec.name, error }),
    );
    child.once('close', (code, signal) => this.#ended(kept, code, signal));
  }

  #ended(kept: Kept, code: number | null, signal: NodeJS.Signals | null): void {
    kept.child = null;
    const { log, onHopeless, longestPauseMs } = this.#options;
    const ranMs = Math.round(performance.now() - kept.startedAt);
    const line = { child: kept.spec.name, code, signal, ranMs };
    if (this.#stopping.signal.aborted) {
      log.info({ event: 'child.ended', ...line });
      return;
    }
    if (code === EXIT_USAGE) {
      log.error({ event: 'child.hopeless', ...line }, 'its call or configuration is wrong');
      onHopeless?.(kept.spec.name);
      return;
    }
    if (ranMs >= STABLE_MS) kept.pauseMs = this.#firstPause();
    const pauseMs = kept.pauseMs;
    kept.pauseMs = Math.min(pauseMs * 2, longestPauseMs ?? 10_000);
    log.error({ event: 'child.crashed', ...line, restartInMs: pauseMs }, 'ended by itself: restarting');
    sleep(pauseMs, undefined, { signal: this.#stopping.signal }).then(
      () => this.#spawn(kept),
      () => undefined,
    );
  }
}

/** Passes a child's output on and shows each whole line of it. */
function passLines(child: ChildProcess, onLine: (line: string) => void): void {
  let rest = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    process.stdout.write(chunk);
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
}

/**
 * For a process that a {@link Supervisor} may have started: ends it when the parent is gone, and
 * leaves Ctrl-C to the parent, which passes it on.
 *
 * @returns whether there is such a parent
 */
export function obeySupervisor(onOrphaned: () => void): boolean {
  if (process.send === undefined) return false;
  process.removeAllListeners('SIGINT');
  process.on('SIGINT', () => undefined);
  // The parent may have gone while this process was starting: then the event is over already.
  if (process.connected) process.once('disconnect', onOrphaned);
  else onOrphaned();
  // The channel alone must not keep a process alive.
  process.channel?.unref();
  return true;
}
