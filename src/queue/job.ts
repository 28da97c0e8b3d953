import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Guid } from '../protocol/guid.js';
import { JOIN_TYPES, type JoinType } from '../protocol/vocabulary.js';

/**
 * The shape of a job in Redis. It holds the sealed token and what routes it, never content and
 * never an enrolment token. A change that an older release cannot process raises JOB_FORMAT.
 */
export const JOB_FORMAT = 1;

/** Who the gateway says sent a message. */
export interface JobChannel {
  readonly method: 'site-token';
  readonly clientId: Guid;
  /** Epoch of the registration that the site token was issued for. */
  readonly epoch: number;
}

/** A message on its way to a worker. */
export interface MessageJob {
  readonly v: 1;
  readonly kind: 'message';
  readonly clientId: Guid;
  readonly messageId: Guid;
  /** The number on the wire. */
  readonly bodyType: number;
  readonly sentAtMs: number;
  /** Compact JWE. */
  readonly sealed: string;
  readonly traceparent: string;
  readonly tracestate: string;
  readonly channel: JobChannel;
  /** The gateway process that waits for the reply. */
  readonly gatewayId: string;
  readonly receivedAtMs: number;
}

/** A registration on its way to a worker. */
export interface RegistrationJob {
  readonly v: 1;
  readonly kind: 'registration';
  readonly clientId: Guid;
  readonly registrationId: Guid;
  /** Compact JWS by the new key. */
  readonly jws: string;
  /** Compact JWS by the old key. */
  readonly previousKeyJws: string | null;
  /** SHA-256 of the enrolment token's secret, 64 hex digits; the token itself is never queued. */
  readonly enrolmentTokenHash: string | null;
  readonly machineName: string;
  readonly domain: string;
  readonly hardwareId: string;
  readonly joinType: JoinType;
  readonly gatewayId: string;
  readonly receivedAtMs: number;
}

/** What a job carries. */
export type JobData = MessageJob | RegistrationJob;

const guid = z
  .string()
  .regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  .transform((text) => text as Guid);
const time = z.number().int();

const messageSchema = z.object({
  v: z.literal(JOB_FORMAT),
  kind: z.literal('message'),
  clientId: guid,
  messageId: guid,
  bodyType: z.number().int(),
  sentAtMs: time,
  sealed: z.string(),
  traceparent: z.string(),
  tracestate: z.string(),
  channel: z.object({ method: z.literal('site-token'), clientId: guid, epoch: z.number().int() }),
  gatewayId: z.string(),
  receivedAtMs: time,
});

const registrationSchema = z.object({
  v: z.literal(JOB_FORMAT),
  kind: z.literal('registration'),
  clientId: guid,
  registrationId: guid,
  jws: z.string(),
  previousKeyJws: z.string().nullable(),
  enrolmentTokenHash: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
  machineName: z.string(),
  domain: z.string(),
  hardwareId: z.string(),
  joinType: z.enum(JOIN_TYPES),
  gatewayId: z.string(),
  receivedAtMs: time,
});

const jobSchema = z.discriminatedUnion('kind', [messageSchema, registrationSchema]);

/** What a worker finds in a job. */
export type ReadJob =
  | { readonly kind: 'job'; readonly data: JobData }
  /** Written by a newer release: leave it to one that understands it. */
  | { readonly kind: 'newer'; readonly format: number }
  /** Not a job of ours. */
  | { readonly kind: 'broken'; readonly problem: string };

/** Reads job data as it lies in Redis. Never throws. */
export function readJob(raw: unknown): ReadJob {
  const format = z.object({ v: z.number().int() }).safeParse(raw);
  if (format.success && format.data.v > JOB_FORMAT) return { kind: 'newer', format: format.data.v };
  const parsed = jobSchema.safeParse(raw);
  if (parsed.success) return { kind: 'job', data: parsed.data };
  // Paths only: a value could be a token.
  const paths = parsed.error.issues.map((issue) => issue.path.join('.') || '(job)');
  return { kind: 'broken', problem: `fields missing or wrong: ${[...new Set(paths)].join(', ')}` };
}

function hashed(prefix: 'm-' | 'r-', first: Guid, second: Guid): string {
  // Fixed-width parts, so no two pairs run together. BullMQ refuses ids with ":" and ids of digits
  // only; this form is neither, whatever a client chose.
  return prefix + createHash('sha256').update(`${first}/${second}`).digest('hex');
}

/** The job id of a message: one message in the queue once, however often it is sent. */
export function messageJobId(clientId: Guid, messageId: Guid): string {
  return hashed('m-', clientId, messageId);
}

/** The job id of a registration. */
export function registrationJobId(clientId: Guid, registrationId: Guid): string {
  return hashed('r-', clientId, registrationId);
}

/** The job id of any job. */
export function jobIdOf(job: JobData): string {
  return job.kind === 'message'
    ? messageJobId(job.clientId, job.messageId)
    : registrationJobId(job.clientId, job.registrationId);
}
