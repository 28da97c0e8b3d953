import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The folder of package.json. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
/** The built command. */
export const MAIN = join(ROOT, 'dist', 'main.js');

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** One line of a JSON log. */
export type LogLine = Readonly<Record<string, unknown>>;

/** What a process is started with. */
export interface ProcessOptions {
  /** Also the name of its log file. */
  readonly name: string;
  /** Arguments of `mpe`. */
  readonly args: readonly string[];
  /** The whole environment; nothing is inherited but what is in it. */
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
}

/**
 * A running `mpe` process: started, watched through its log file, stopped or killed. Its output goes
 * to the file itself, so that it survives us and a kill -9 loses no line that it wrote.
 */
export class EngineProcess {
  readonly name: string;
  readonly logFile: string;
  readonly #child: ChildProcess;
  readonly #from: number;
  readonly #onExit: () => void;
  #ended: Ended | null = null;
  /** We ended it, by `kill` or `stop`. */
  killed = false;
  /** Settles when the process is gone. */
  readonly ended: Promise<Ended>;

  private constructor(options: ProcessOptions) {
    if (!existsSync(MAIN)) throw new Error('dist/main.js is absent: run npm run build first');
    this.name = options.name;
    this.logFile = options.logFile;
    mkdirSync(dirname(options.logFile), { recursive: true });
    this.#from = existsSync(options.logFile) ? readFileSync(options.logFile).length : 0;
    const log = openSync(options.logFile, 'a');
    this.#child = spawn(process.execPath, [MAIN, ...options.args], {
      cwd: ROOT,
      env: options.env,
      stdio: ['ignore', log, log],
      // A group of its own: Ctrl-C reaches us alone, and we stop the rest in order.
      detached: true,
    });
    closeSync(log);
    const child = this.#child;
    this.#onExit = () => killGroup(child.pid, 'SIGKILL');
    process.once('exit', this.#onExit);
    this.ended = new Promise((resolve) => {
      child.once('error', () => {
        this.#ended = { code: null, signal: null };
        resolve(this.#ended);
      });
      child.once('exit', (code, signal) => {
        this.#ended = { code, signal };
        process.removeListener('exit', this.#onExit);
        resolve(this.#ended);
      });
    });
  }

  /** Starts it; does not wait until it is ready. */
  static start(options: ProcessOptions): EngineProcess {
    return new EngineProcess(options);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#ended === null;
  }

  /** What it has written since this start. */
  output(): string {
    return readFileSync(this.logFile).subarray(this.#from).toString('utf8');
  }

  /** The JSON lines it has written since this start. */
  lines(): LogLine[] {
    return parseLines(this.output());
  }

  /** Waits until it logs an event; fails with its last lines when it ends or takes too long. */
  async waitForEvent(event: string, timeoutMs = 90_000): Promise<LogLine> {
    const until = performance.now() + timeoutMs;
    for (;;) {
      // Asked before the log is read: what ends just after its last line has written it.
      const { running } = this;
      const line = this.lines().find((one) => one['event'] === event);
      if (line !== undefined) return line;
      if (!running) throw new Error(`${this.name} ended before "${event}":\n${this.lastLines()}`);
      if (performance.now() > until)
        throw new Error(`${this.name} did not log "${event}" within ${timeoutMs} ms:\n${this.lastLines()}`);
      await sleep(15);
    }
  }

  /** The end of its output, for a failure's text. */
  lastLines(count = 12): string {
    return this.output().trimEnd().split('\n').slice(-count).join('\n');
  }

  /** Sends a signal to it alone. */
  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#child.kill(signal);
  }

  /** kill -9 of it and of what it started, as a crash of the machine would. */
  async kill(): Promise<void> {
    this.killed = true;
    if (this.running) killGroup(this.#child.pid, 'SIGKILL');
    await this.ended;
  }

  /** An orderly stop; fails when it takes longer than the bound (and kills it then). */
  async stop(boundMs = 90_000): Promise<Ended> {
    this.killed = true;
    this.signal('SIGTERM');
    const late = sleep(boundMs, null, { ref: false });
    const ended = await Promise.race([this.ended, late]);
    if (ended !== null) return ended;
    await this.kill();
    throw new Error(`${this.name} did not stop within ${boundMs} ms of SIGTERM:\n${this.lastLines()}`);
  }

  /** Leaves it running after our own end. */
  release(): void {
    process.removeListener('exit', this.#onExit);
    this.#child.unref();
  }
}

/** Parses the JSON lines of a log; other lines are passed over. */
export function parseLines(text: string): LogLine[] {
  const lines: LogLine[] = [];
  for (const line of text.split('\n')) {
    if (!line.startsWith('{')) continue;
    try {
      lines.push(JSON.parse(line) as LogLine);
    } catch {
      // The last line of a killed process may be cut.
    }
  }
  return lines;
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Gone already.
  }
}
