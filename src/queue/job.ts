import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Guid } from '../protocol/guid.js';
import { JOIN_TYPES, type JoinType } from '../protocol/vocabulary.js';

/**
 * The shape of a job in Redis. It holds the sealed token and what routes it, never content and
 * never an enrolment token. A change that an older release cannot process raises JOB_FORMAT.
 *
 * Format 2 (since 0.2) adds channels by certificate and by device token, and the channel of a
 * registration. A job that needs neither is still written as format 1, which every release reads.
 */
export const JOB_FORMAT = 2;
type JobFormat = 1 | 2;

/** Who the gateway says sent a request, and how it knows. */
export type JobChannel =
  | {
      readonly method: 'site-token';
      readonly clientId: Guid;
      /** Epoch of the registration that the site token was issued for. */
      readonly epoch: number;
    }
  | {
      readonly method: 'client-certificate' | 'entra';
      readonly clientId: Guid;
      /**
       * What stays the same while the credential is renewed. Certificate: SHA-256 of its public key
       * (SubjectPublicKeyInfo), 64 hex digits. Entra: `<tenant id>/<device id>`.
       */
      readonly subject: string;
    };

/** The format in which a job with this channel is written: the lowest that holds it. */
export function jobFormatOf(channel: JobChannel | null): JobFormat {
  return channel === null || channel.method === 'site-token' ? 1 : 2;
}

/** A message on its way to a worker. */
export interface MessageJob {
  readonly v: JobFormat;
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
  readonly v: JobFormat;
  readonly kind: 'registration';
  readonly clientId: Guid;
  readonly registrationId: Guid;
  /** Compact JWS by the new key. */
  readonly jws: string;
  /** Compact JWS by the old key. */
  readonly previousKeyJws: string | null;
  /** SHA-256 of the enrolment token's secret, 64 hex digits; the token itself is never queued. */
  readonly enrolmentTokenHash: string | null;
  /** The certificate's public key and its signature over the statement, base64. Format 2. */
  readonly certificateProof?: { readonly key: string; readonly signature: string } | undefined;
  readonly machineName: string;
  readonly domain: string;
  readonly hardwareId: string;
  readonly joinType: JoinType;
  /** The certificate or device that sent it; absent where the channel named nobody. */
  readonly channel?: JobChannel | undefined;
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

const channel = z.discriminatedUnion('method', [
  z.object({ method: z.literal('site-token'), clientId: guid, epoch: z.number().int() }),
  z.object({
    method: z.literal('client-certificate'),
    clientId: guid,
    subject: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  z.object({
    method: z.literal('entra'),
    clientId: guid,
    subject: z.string().regex(/^[0-9a-f-]{36}\/[0-9a-f-]{36}$/),
  }),
]);
const format = z.union([z.literal(1), z.literal(JOB_FORMAT)]);

const messageSchema = z.object({
  v: format,
  kind: z.literal('message'),
  clientId: guid,
  messageId: guid,
  bodyType: z.number().int(),
  sentAtMs: time,
  sealed: z.string(),
  traceparent: z.string(),
  tracestate: z.string(),
  channel,
  gatewayId: z.string(),
  receivedAtMs: time,
});

const registrationSchema = z.object({
  v: format,
  kind: z.literal('registration'),
  clientId: guid,
  registrationId: guid,
  jws: z.string(),
  previousKeyJws: z.string().nullable(),
  enrolmentTokenHash: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
  certificateProof: z.object({ key: z.string(), signature: z.string() }).optional(),
  machineName: z.string(),
  domain: z.string(),
  hardwareId: z.string(),
  joinType: z.enum(JOIN_TYPES),
  channel: channel.optional(),
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
  const written = z.object({ v: z.number().int() }).safeParse(raw);
  if (written.success && written.data.v > JOB_FORMAT) return { kind: 'newer', format: written.data.v };
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
