import type { Logger } from '../ops/log.js';

/** What the recovery service calls people for. */
export const ALARMS = [
  /** The certificate of this host no longer opens the sentinel, or is not the site document's. */
  'CERTIFICATE',
  /** Data keys do not open. */
  'DATA_KEYS',
  /** So many secrets of a round do not open that none was marked. */
  'MASS_FAILURE',
  /** Stored secrets cannot be read. */
  'UNDECRYPTABLE',
  /** Exposed keys are not replaced by their deadline. */
  'ROTATIONS_OVERDUE',
  /** Drives may have a key that the site lacks. */
  'ROTATIONS_AT_RISK',
] as const;
export type Alarm = (typeof ALARMS)[number];

/** The alarms of a process: raised and cleared by what each round finds. */
export class Alarms {
  readonly #log: Logger;
  readonly #raised = new Map<Alarm, string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Raises an alarm, or changes its text; a round that finds the same again adds nothing to the log. */
  raise(alarm: Alarm, detail: string, facts: Readonly<Record<string, unknown>> = {}): void {
    if (this.#raised.get(alarm) === detail) return;
    this.#raised.set(alarm, detail);
    this.#log.error({ event: `${source(alarm)}.alarm`, alarm, ...facts }, detail);
  }

  /** Ends an alarm that was raised. */
  clear(alarm: Alarm): void {
    if (this.#raised.delete(alarm)) this.#log.info({ event: `${source(alarm)}.alarm_cleared`, alarm });
  }

  /** Those raised now. */
  raised(): Alarm[] {
    return [...this.#raised.keys()];
  }

  /** Its text while it is raised. */
  detail(alarm: Alarm): string | null {
    return this.#raised.get(alarm) ?? null;
  }
}

/** Whether the rotation keeper raises it, which has metrics of its own. */
export const isRotationAlarm = (alarm: Alarm): boolean => alarm.startsWith('ROTATIONS_');

/** Who looks: the first part of the event. */
const source = (alarm: Alarm): string => (isRotationAlarm(alarm) ? 'rotation' : 'canary');
