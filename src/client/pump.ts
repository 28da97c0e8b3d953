import { setTimeout as sleep } from 'node:timers/promises';
import type { Guid } from '../protocol/guid.js';
import { backoffDelay } from './backoff.js';
import type { ClientContext } from './context.js';
import { sendMessage, type Attempt } from './send-message.js';
import type { SettledMessage, StoredMessage } from './state.js';

/** How to work off what is pending. */
export interface DrainOptions {
  /** Milliseconds; what is pending then stays for the next time. Default: no end. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Called with each message that a verified reply ended, at once. */
  readonly onSettled?: (message: SettledMessage) => void;
}

/** What a drain came to. */
export interface DrainReport {
  /** Messages that a verified reply ended, in the order in which they ended. */
  readonly settled: readonly SettledMessage[];
  /** How many are still pending. */
  readonly pending: number;
}

/** After so many questions in a row that were answered QUEUED, the message is sent again. */
const QUESTIONS_BEFORE_RESEND = 4;

/** Timers take no more than 2^31 ms; a minute is plenty. */
const MAX_SLEEP_MS = 60_000;

/** When and how a message is tried next. In memory: after a restart everything is due at once. */
interface Plan {
  attempts: number;
  questions: number;
  /** On the monotonic clock. */
  dueMs: number;
  next: 'POST' | 'GET';
  busy: boolean;
}

/** Sends and re-sends what is pending, several messages at a time, each with its own back-off. */
export class Pump {
  readonly #context: ClientContext;
  readonly #plans = new Map<Guid, Plan>();
  #wake: () => void = () => undefined;
  /** Nothing is sent before this (monotonic): the gateway is away, or asked for patience. */
  #quietUntilMs = 0;
  /** Times in a row that the gateway as a whole failed. */
  #channelFailures = 0;

  constructor(context: ClientContext) {
    this.#context = context;
  }

  /** Tells a drain under way that there is a new message. */
  wake(): void {
    this.#wake();
  }

  /** One attempt for every message that is due, then done. */
  async pass(): Promise<DrainReport> {
    const due = this.#due(Infinity);
    const settled: SettledMessage[] = [];
    const lane = async (): Promise<void> => {
      for (let message = due.shift(); message !== undefined; message = due.shift()) {
        if (this.#isQuiet()) return;
        await this.#attempt(message, (one) => settled.push(one));
      }
    };
    await Promise.all(Array.from({ length: this.#context.settings.concurrency }, lane));
    return { settled, pending: this.#context.keeper.state.messages.length };
  }

  /**
   * Works until nothing is pending, the time is over or the signal comes. Attempts under way are
   * finished, so that no reply is lost.
   *
   * @throws MpeError STATE_INVALID where the state cannot be written.
   */
  async drain(options: DrainOptions = {}): Promise<DrainReport> {
    const { keeper, settings } = this.#context;
    const until = performance.now() + (options.timeoutMs ?? Infinity);
    const settled: SettledMessage[] = [];
    const settle = (message: SettledMessage): void => {
      settled.push(message);
      options.onSettled?.(message);
    };
    const running = new Set<Promise<void>>();
    const failures: unknown[] = [];
    const goesOn = (): boolean =>
      failures.length === 0 && options.signal?.aborted !== true && performance.now() < until;
    while (goesOn() && keeper.state.messages.length > 0) {
      for (const message of this.#due(settings.concurrency - running.size)) {
        const work: Promise<void> = this.#attempt(message, settle)
          .catch((error: unknown) => void failures.push(error))
          .finally(() => running.delete(work));
        running.add(work);
      }
      await this.#pause(running, until, options.signal);
    }
    await Promise.all(running);
    if (failures.length > 0) throw failures[0];
    return { settled, pending: keeper.state.messages.length };
  }

  /** Until an attempt ends, a message is due or new, or it is time to stop. */
  async #pause(running: ReadonlySet<Promise<void>>, until: number, signal?: AbortSignal): Promise<void> {
    const { keeper, settings } = this.#context;
    const stop = new AbortController();
    const idle = keeper.state.messages.map((one) => this.#plan(one.messageId)).filter((plan) => !plan.busy);
    const full = running.size >= settings.concurrency;
    const dueMs = Math.max(this.#quietUntilMs, Math.min(Infinity, ...idle.map((plan) => plan.dueMs)));
    const wakeMs = Math.min(until, full ? Infinity : dueMs);
    const waitMs = Math.min(Math.max(wakeMs - performance.now(), 0), MAX_SLEEP_MS);
    const either = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await Promise.race([
      ...running,
      woken,
      sleep(waitMs, undefined, { signal: either }).catch(() => undefined),
    ]);
    stop.abort();
  }

  #due(limit: number): StoredMessage[] {
    if (this.#isQuiet()) return [];
    const now = performance.now();
    const { messages } = this.#context.keeper.state;
    const due: StoredMessage[] = [];
    for (const message of messages) {
      if (due.length >= limit) break;
      const plan = this.#plan(message.messageId);
      if (!plan.busy && plan.dueMs <= now) due.push(message);
    }
    return due;
  }

  async #attempt(message: StoredMessage, settle: (message: SettledMessage) => void): Promise<void> {
    const plan = this.#plan(message.messageId);
    plan.busy = true;
    try {
      let attempt = await sendMessage(this.#context, message, plan.next);
      if (attempt.kind === 'absent') attempt = await sendMessage(this.#context, message, 'POST');
      this.#hush(attempt);
      if (attempt.kind === 'settled') {
        this.#plans.delete(message.messageId);
        settle(attempt.message);
      } else this.#postpone(message, plan, attempt);
    } finally {
      plan.busy = false;
    }
  }

  #isQuiet(): boolean {
    return performance.now() < this.#quietUntilMs;
  }

  /** One back-off for the gateway as a whole: many pending messages must not knock one by one. */
  #hush(attempt: Attempt): void {
    if (attempt.kind !== 'later' || !attempt.channel) {
      this.#channelFailures = 0;
      return;
    }
    const { backoff, random } = this.#context.settings;
    const now = performance.now();
    // Requests that were under way together count as one failure.
    if (!this.#isQuiet()) {
      this.#quietUntilMs = now + backoffDelay(backoff, this.#channelFailures, 0, random());
      this.#channelFailures += 1;
    }
    this.#quietUntilMs = Math.max(this.#quietUntilMs, now + attempt.floorMs);
  }

  #postpone(message: StoredMessage, plan: Plan, attempt: Exclude<Attempt, { kind: 'settled' }>): void {
    const { settings } = this.#context;
    const asks = attempt.kind === 'later' && attempt.next === 'GET';
    plan.questions = asks ? plan.questions + 1 : 0;
    plan.next = asks && plan.questions < QUESTIONS_BEFORE_RESEND ? 'GET' : 'POST';
    if (plan.next === 'POST') plan.questions = 0;
    const floorMs = attempt.kind === 'later' ? attempt.floorMs : 0;
    const delayMs = backoffDelay(settings.backoff, plan.attempts, floorMs, settings.random());
    plan.attempts += 1;
    plan.dueMs = performance.now() + delayMs;
    const why = attempt.kind === 'later' ? attempt.why : 'the site does not have it';
    settings.onEvent({ event: 'client.backing-off', messageId: message.messageId, delayMs, why });
  }

  #plan(messageId: Guid): Plan {
    let plan = this.#plans.get(messageId);
    if (plan === undefined) {
      plan = { attempts: 0, questions: 0, dueMs: 0, next: 'POST', busy: false };
      this.#plans.set(messageId, plan);
    }
    return plan;
  }
}
