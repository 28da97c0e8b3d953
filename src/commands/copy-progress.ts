import { SingleBar } from 'cli-progress';
import { duration, warn } from './output.js';

/** How often a line is written where there is no bar. */
const LINE_EVERY_MS = 5000;

/** Shows how far a long piece of work is, in phases of a known number of rows. */
export interface Progress {
  show(phase: string, rows: number, total: number): void;
  stop(): void;
}

/** A bar on a terminal; plain lines, a few a minute, elsewhere and with NO_COLOR. On standard error. */
export function rowProgress(): Progress {
  const plain = !process.stderr.isTTY || (process.env['NO_COLOR'] ?? '') !== '';
  return plain ? new Lines() : new Bar();
}

const count = (rows: number): string => rows.toLocaleString('en-US');

class Lines implements Progress {
  #phase = '';
  #beganAt = 0;
  #toldAt = 0;

  show(phase: string, rows: number, total: number): void {
    const now = performance.now();
    const fresh = phase !== this.#phase;
    if (fresh) [this.#phase, this.#beganAt] = [phase, now];
    if (!fresh && rows < total && now - this.#toldAt < LINE_EVERY_MS) return;
    this.#toldAt = now;
    warn(`${phase}: ${count(rows)} of ${count(total)} rows  ${duration(now - this.#beganAt)}`);
  }

  stop(): void {
    this.#phase = '';
  }
}

class Bar implements Progress {
  readonly #bar = new SingleBar({
    format: '{phase}  {bar} {percentage} %  {value}/{total} rows  {eta_formatted}',
    hideCursor: true,
    clearOnComplete: false,
  });
  #phase = '';

  show(phase: string, rows: number, total: number): void {
    if (phase !== this.#phase) {
      this.stop();
      this.#phase = phase;
      this.#bar.start(total, rows, { phase: phase.padEnd(20) });
    } else this.#bar.update(rows);
  }

  stop(): void {
    if (this.#phase !== '') this.#bar.stop();
    this.#phase = '';
  }
}
