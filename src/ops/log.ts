import { writeSync } from 'node:fs';
import { pino, stdTimeFunctions, type DestinationStream, type Logger as PinoLogger } from 'pino';
import type { Config } from '../config/config.js';
import { redactText, redactValue } from './redact.js';
import { VERSION } from './version.js';

/**
 * The log of a process: one JSON object a line. Every line carries `event`, a stable code such as
 * `gateway.listening` that people and alarms may rely on; the text beside it may change.
 */
export type Logger = PinoLogger;

/** Where the lines go. */
export interface LogTarget {
  /** File descriptor: 1 (default) for services, 2 for commands whose output is on 1. */
  readonly fd?: 1 | 2;
  /** For tests. */
  readonly stream?: DestinationStream;
}

/**
 * Makes the logger of a process.
 *
 * Lines hold `level` (a word), `time` (ISO 8601, UTC, real time), `process` (its name), `pid`,
 * `release`, `event` and what the call gives. Fields whose name could carry a secret, bytes and
 * texts that look like a secret are replaced on the way out, see `redact.ts`.
 *
 * Written synchronously: a line that was logged is out, also before a crash. Where it cannot be
 * written (a full disk, a reader that is stuck or gone) it is lost: no log may stop the work.
 */
export function createLogger(name: string, config: Pick<Config, 'logLevel'>, target: LogTarget = {}): Logger {
  return pino(
    {
      level: config.logLevel,
      base: { process: name, pid: process.pid, release: VERSION },
      timestamp: stdTimeFunctions.isoTime,
      messageKey: 'text',
      errorKey: 'error',
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => redactValue(fields) as Record<string, unknown>,
        // Also what child loggers carry.
        bindings: (fields) => redactValue(fields) as Record<string, unknown>,
      },
      // Errors were turned into fields by `formatters.log`; pino's own serializer would see no error.
      serializers: { error: (value: unknown) => value },
      hooks: { streamWrite: redactText },
    },
    target.stream ?? toDescriptor(target.fd ?? 1),
  );
}

/** How long a line waits for a slow reader of a pipe, in steps of 5 ms. */
const SLOW_READER_STEPS = 100;

/** Writes lines to a file descriptor, whole or not at all as far as the system lets it. */
function toDescriptor(fd: 1 | 2): DestinationStream {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  let stuck = false;
  let torn = false;
  return {
    write(line: string): void {
      // After half a line the next one starts on a line of its own.
      let rest = Buffer.from(torn ? `\n${line}` : line, 'utf8');
      let steps = stuck ? 0 : SLOW_READER_STEPS;
      while (rest.length > 0) {
        try {
          const written = writeSync(fd, rest);
          torn = written < rest.length;
          rest = rest.subarray(written);
          stuck = false;
        } catch (error) {
          const slow = (error as NodeJS.ErrnoException).code === 'EAGAIN';
          if (!slow || steps === 0) {
            // Who is stuck for one line is not waited for with the next.
            stuck = slow;
            return;
          }
          steps -= 1;
          Atomics.wait(pause, 0, 0, 5);
        }
      }
    },
  };
}

/** The names under which a message is known in the log. */
export interface MessageNames {
  readonly clientId: string;
  readonly messageId: string;
  readonly bodyType?: string | number;
  /** Deliveries so far, this one included. */
  readonly attempt?: number;
}

/** A logger that puts a message's names into every line. */
export function messageLogger(log: Logger, names: MessageNames): Logger {
  return log.child({ ...names });
}
