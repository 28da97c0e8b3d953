import { setTimeout as sleep } from 'node:timers/promises';
import { openReply } from '../jose/index.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import type { MessageReply, ReplyStatement } from '../protocol/client-message.js';
import { decodeReplyStatement } from '../protocol/decode.js';
import { encodeMessageReply } from '../protocol/encode.js';
import { DISPOSITION_RETRY, REASON_TABLE, type Disposition, type Retry } from '../protocol/vocabulary.js';
import type { BuiltMessage } from './built-case.js';
import { clientIdOf, signingKeyOf } from './build-case.js';
import type { Fixture, Step } from './fixture-schema.js';
import { guidValue } from './fixture-values.js';
import {
  mapTexts,
  messageReplyView,
  registrationReplyView,
  OPEN_NAMES,
  type ReplyView,
} from './reply-view.js';
import { mismatches, type Mismatch } from './match.js';
import { operate, type OperatorContext } from './operator.js';
import type { PlannedStep } from './plan-set.js';
import type { SecretScanner } from './scan.js';
import type { Answer, ChannelFacts, ReplayTarget } from './target.js';

/** What one step came to. */
export interface StepResult {
  readonly mismatches: readonly Mismatch[];
  /** The answer as fixtures write it; null for operator steps and HTTP problems. */
  readonly view: ReplyView | null;
  /** For counts: the disposition or status, or `HTTP 413`. */
  readonly outcome: string | null;
}

/** What steps need. */
export interface StepContext {
  readonly target: ReplayTarget;
  /** null: no store at hand, so operator steps cannot be done. */
  readonly operator: OperatorContext | null;
  readonly scanner: SecretScanner;
  /** 1 = a fresh set; from 2 on, what was committed before is so again. */
  readonly pass: number;
}

/** Workers read the site again for an unknown key at most every three seconds. */
const RELOAD_MS = 3_500;

/** Seconds to wait for a worker where a case says nothing. */
const WAIT_SECONDS = 20;

/**
 * Runs one step and compares its answer. An engine that throws instead of answering is this step's
 * mismatch, named by its case, and the others still run.
 *
 * @throws MpeError UNREACHABLE, STORE_TRANSIENT and other faults that pass, FIXTURE_INVALID
 */
export async function runStep(planned: PlannedStep, context: StepContext): Promise<StepResult> {
  try {
    return await answerStep(planned, context);
  } catch (error) {
    if (isMpeError(error) && (error.retryable || error.code === 'FIXTURE_INVALID')) throw error;
    const got = isMpeError(error) ? `${error.code}: ${error.message}` : String(error);
    return {
      mismatches: [{ path: 'answer', expected: 'an answer', got: `the engine threw ${got}` }],
      view: null,
      outcome: null,
    };
  }
}

async function answerStep(planned: PlannedStep, context: StepContext): Promise<StepResult> {
  const { step, ready } = planned;
  const { fixture, built } = ready;
  if (step.operator !== undefined) {
    if (context.operator === null) throw new MpeError('INTERNAL', 'an operator step without a store');
    try {
      await operate(step.operator, fixture, built, context.operator);
      if ('addSealingKey' in step.operator && context.target.kind === 'gateway') await sleep(RELOAD_MS);
      return { mismatches: [], view: null, outcome: null };
    } catch (error) {
      // What an earlier step left undone; a database that is away is not the case's fault.
      if (!isMpeError(error) || error.retryable) throw error;
      return {
        mismatches: [{ path: 'operator', expected: 'done', got: error.message }],
        view: null,
        outcome: null,
      };
    }
  }
  const token = built.steps[step.id];
  if (token === undefined)
    throw new MpeError(
      'FIXTURE_INVALID',
      `${ready.file}: step "${step.id}" is not built; run mpe fixtures build`,
    );
  if (token.kind === 'registration') {
    const client = fixture.clients[step.register?.client ?? ''];
    const hints = {
      machineName: step.register?.machineName ?? client?.machineName ?? '',
      domain: client?.domain ?? '',
      hardwareId: client?.hardwareId ?? '',
      joinType: client?.joinType ?? 'UNSPECIFIED',
    };
    const answer = await context.target.register(token, hints, step.wait ?? WAIT_SECONDS);
    return compareAnswer(answer, step, fixture, context, (reply) => ({
      view: registrationReplyView(reply),
      outcome: reply.status,
      problems: [],
    }));
  }
  const padTo = padToOf(fixture, step);
  const sent = padTo === null ? token : { ...token, sealed: token.sealed.padEnd(padTo, 'A') };
  const answer = await context.target.send(
    sent,
    channelOf(fixture, step, context.pass),
    step.wait ?? WAIT_SECONDS,
  );
  if (answer.kind === 'reply')
    context.scanner.scan(`reply to ${fixture.name}/${step.id}`, encodeMessageReply(answer.reply));
  const statement = answer.kind === 'reply' ? await openStatement(answer.reply, token) : null;
  return compareAnswer(answer, step, fixture, context, (reply) => ({
    view: messageReplyView(reply, statement === 'broken' ? null : statement),
    outcome: reply.disposition,
    problems: replyRules(reply, statement, token),
  }));
}

function sendOf(fixture: Fixture, step: Step): NonNullable<Step['send']> | undefined {
  return step.send ?? fixture.steps.find((s) => s.id === step.resend?.of)?.send;
}

function padToOf(fixture: Fixture, step: Step): number | null {
  return sendOf(fixture, step)?.forge?.padTo ?? null;
}

/**
 * The channel is the envelope's client with its registered key, unless the case says otherwise. When
 * the set is sent again, only the key that was registered last still gets a token.
 */
function channelOf(fixture: Fixture, step: Step, pass: number): ChannelFacts {
  const send = sendOf(fixture, step);
  const client = send?.channel?.client ?? send?.client ?? '';
  const registered = ['k1', ...registeredKeys(fixture, client)];
  const own = send?.channel?.client === undefined && registered.includes(send?.key ?? '');
  const key = pass > 1 ? registered.at(-1) : (send?.channel?.key ?? (own ? send?.key : 'k1'));
  return {
    clientId: send?.channel?.none === true ? null : clientIdOf(fixture, client),
    key: signingKeyOf(fixture, client, key ?? 'k1'),
  };
}

/** Keys that the case itself registers for a client, or its operator approves, in its order. */
function registeredKeys(fixture: Fixture, client: string): readonly string[] {
  return fixture.steps.flatMap((s) => {
    if (s.operator !== undefined && 'approve' in s.operator && s.operator.approve.client === client)
      return [s.operator.approve.key];
    return s.register?.client === client && s.expect?.['status'] === 'REGISTERED' ? [s.register.key] : [];
  });
}

async function openStatement(
  reply: MessageReply,
  sent: BuiltMessage,
): Promise<ReplyStatement | 'broken' | null> {
  if (reply.sealedReply === '') return null;
  try {
    const replyKey = Buffer.from(sent.replyKey, 'base64url');
    return decodeReplyStatement(await openReply(reply.sealedReply, replyKey, sent.messageId));
  } catch (error) {
    if (isMpeError(error, 'CANNOT_OPEN') || isMpeError(error, 'MALFORMED')) return 'broken';
    throw error;
  }
}

/** Rules that every reply keeps, whatever the case expects. */
function replyRules(
  reply: MessageReply,
  statement: ReplyStatement | 'broken' | null,
  sent: BuiltMessage,
): readonly Mismatch[] {
  const found: Mismatch[] = [];
  const rule = (path: string, expected: unknown, got: unknown): void => {
    if (expected !== got) found.push({ path, expected: String(expected), got: String(got) });
  };
  rule('reply.messageId', sent.messageId, reply.messageId);
  if (statement === 'broken') {
    rule('reply.sealedReply', 'opens with the reply key', 'does not open');
    return found;
  }
  const { disposition, reason, retry } = statement ?? reply;
  if (reason !== 'NONE') {
    const row = REASON_TABLE[reason];
    rule('reply.disposition', row.disposition, disposition);
    rule('reply.retry', row.retry, retry);
  } else {
    const byDisposition: Readonly<Partial<Record<Disposition, Retry>>> = DISPOSITION_RETRY;
    rule('reply.retry', byDisposition[disposition] ?? retry, retry);
  }
  if (statement === null) {
    // Nothing final without a seal: a client would not believe it, and must not have to.
    const final =
      disposition === 'COMMITTED' || disposition === 'ALREADY_COMMITTED' || disposition === 'PARTIAL';
    rule('reply.sealed', final, false);
    return found;
  }
  rule('reply.sealed.messageId', sent.messageId, statement.messageId);
  rule('reply.sealed.clientId', sent.clientId, statement.clientId);
  rule(
    'reply.sealed.payloadDigest',
    sent.payloadDigest,
    Buffer.from(statement.payloadDigest).toString('hex'),
  );
  rule('reply.disposition (outside)', disposition, reply.disposition);
  rule('reply.reason (outside)', reason, reply.reason);
  rule('reply.sealed.serverTime', true, statement.serverTimeMs > 0);
  return found;
}

/** Where a replay goes over the same site again: nothing may be less than it was. */
const AGAIN: Readonly<Record<string, unknown>> = {
  COMMITTED: { $oneOf: ['COMMITTED', 'ALREADY_COMMITTED'] },
  ALREADY_COMMITTED: { $oneOf: ['COMMITTED', 'ALREADY_COMMITTED'] },
  REGISTERED: 'ALREADY_REGISTERED',
};

function compareAnswer<R>(
  answer: Answer<R>,
  step: Step,
  fixture: Fixture,
  context: StepContext,
  look: (reply: R) => { view: ReplyView; outcome: string; problems: readonly Mismatch[] },
): StepResult {
  const http = context.target.kind === 'gateway' ? step.http : undefined;
  if (answer.kind === 'problem') {
    const got = `HTTP ${answer.status} ${answer.code}`.trimEnd();
    if (http?.status === answer.status && (http.code === undefined || http.code === answer.code))
      return { mismatches: [], view: null, outcome: `HTTP ${answer.status}` };
    const expected = http === undefined ? 'a reply' : `HTTP ${http.status} ${http.code ?? ''}`.trimEnd();
    return { mismatches: [{ path: 'http', expected, got }], view: null, outcome: `HTTP ${answer.status}` };
  }
  const { view, outcome, problems } = look(answer.reply);
  if (http !== undefined && http.status >= 300)
    return {
      mismatches: [{ path: 'http', expected: `HTTP ${http.status}`, got: `a reply: ${outcome}` }],
      view,
      outcome,
    };
  const found: Mismatch[] = [...problems];
  if (answer.status !== null) {
    const accepted = outcome === 'QUEUED' || outcome === 'QUARANTINED' || outcome === 'PENDING';
    const status = accepted ? 202 : 200;
    if (answer.status !== status)
      found.push({ path: 'http.status', expected: String(status), got: String(answer.status) });
  }
  // A label or any notation of a GUID stands for the GUID.
  const expected = mapTexts(step.expect, (text) => guidText(fixture, text)) as ReplyView;
  if (context.pass > 1) found.push(...comparedAgain(expected, view));
  else found.push(...mismatches('reply', expected, view, openNames(expected)));
  return { mismatches: found, view, outcome };
}

function comparedAgain(expected: ReplyView, view: ReplyView): readonly Mismatch[] {
  const name = 'disposition' in expected ? 'disposition' : 'status';
  const wanted = expected[name];
  const again = typeof wanted === 'string' ? AGAIN[wanted] : undefined;
  return again === undefined ? [] : mismatches(`reply.${name}`, again, view[name]);
}

function openNames(expected: ReplyView): ReadonlySet<string> {
  return new Set([...OPEN_NAMES].filter((name) => !(name in expected)));
}

function guidText(fixture: Fixture, text: string): string {
  if (text.startsWith('@')) return guidValue(fixture.name, text);
  if (!/^[{]?[0-9a-f-]{32,36}[}]?$|^urn:uuid:|^le-/i.test(text)) return text;
  return guidValue(fixture.name, text);
}
