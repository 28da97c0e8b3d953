import type { FastifyInstance } from 'fastify';
import { peekKid } from '../../jose/index.js';
import type {
  RegistrationReply,
  RegistrationRequest,
  RegistrationStatement,
} from '../../protocol/client-message.js';
import { enrolmentSecretHash } from '../../protocol/enrolment-token.js';
import {
  decodeRegistrationReply,
  decodeRegistrationRequest,
  decodeRegistrationStatement,
  encodeRegistrationReply,
} from '../../protocol/registration.js';
import { LIMITS, type RegistrationStatus } from '../../protocol/vocabulary.js';
import {
  JOB_FORMAT,
  jobFormatOf,
  jobIdOf,
  type JobChannel,
  type RegistrationJob,
} from '../../queue/index.js';
import type { GatewayContext } from '../context.js';
import { optionalChannelOf, readChannel, requireProtobuf, requireQueue } from '../guards.js';
import { HttpProblem } from '../problems.js';
import { readSigned } from '../read-signed.js';
import { sendProtobuf } from '../respond.js';
import { submitAndWait } from '../submit.js';

/**
 * POST /v1/clients: a RegistrationRequest in, a RegistrationReply out. Open to strangers, so it is
 * bounded by a rate. Workers verify and commit; the enrolment token goes on as its hash alone.
 */
export function postClients(server: FastifyInstance, context: GatewayContext): void {
  server.post(
    '/v1/clients',
    {
      bodyLimit: LIMITS.registrationBytes,
      onRequest: [
        context.limits.registration,
        requireProtobuf,
        requireQueue(context),
        requireRate(context),
        readChannel(context),
      ],
    },
    async (request, reply) => {
      const channel = optionalChannelOf(request);
      const { job, kid } = readRegistration(request.body as Buffer, channel, context);
      assertOwn(job, channel, context);
      const { bytes } = await submitAndWait(context, request, reply, job);
      const answer = await answerFor(context, job, kid, bytes);
      return sendProtobuf(request, reply, answer.status, answer.body);
    },
  );
}

function requireRate(context: GatewayContext) {
  return async (): Promise<void> => {
    if (!context.strangers.registrations.take()) {
      throw new HttpProblem('RATE_LIMITED', 'Too many registrations. Send the same request again later.');
    }
    return Promise.resolve();
  };
}

function readRegistration(
  body: Buffer,
  channel: JobChannel | null,
  context: GatewayContext,
): { readonly job: RegistrationJob; readonly kid: string } {
  return readSigned(() => {
    const request = decodeRegistrationRequest(body);
    const kid = peekKid(request.jws, 'mpe-reg+jws');
    if (request.previousKeyJws !== undefined) peekKid(request.previousKeyJws, 'mpe-reg+jws');
    // Read before it is verified: for the job id alone.
    const payload = Buffer.from(request.jws.split('.', 2)[1] ?? '', 'base64url');
    const statement = decodeRegistrationStatement(payload);
    return { job: registrationJob(request, statement, channel, context), kid };
  });
}

function registrationJob(
  request: RegistrationRequest,
  statement: RegistrationStatement,
  channel: JobChannel | null,
  context: GatewayContext,
): RegistrationJob {
  const token = request.enrolmentToken ?? '';
  const { certificateProof } = request;
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return {
    v: certificateProof === undefined ? jobFormatOf(channel) : JOB_FORMAT,
    kind: 'registration',
    clientId: statement.clientId,
    registrationId: statement.registrationId,
    jws: request.jws,
    previousKeyJws: request.previousKeyJws ?? null,
    enrolmentTokenHash: token === '' ? null : enrolmentSecretHash(token).toString('hex'),
    ...(certificateProof === undefined
      ? {}
      : {
          certificateProof: {
            key: base64(certificateProof.key),
            signature: base64(certificateProof.signature),
          },
        }),
    machineName: request.machineName,
    domain: request.domain,
    hardwareId: request.hardwareId,
    joinType: request.joinType,
    ...(channel === null ? {} : { channel }),
    gatewayId: context.gatewayId,
    receivedAtMs: context.clock.now(),
  };
}

/** A certificate or device registers the client that it names, and no other. */
function assertOwn(job: RegistrationJob, channel: JobChannel | null, context: GatewayContext): void {
  if (channel === null || channel.clientId === job.clientId) return;
  context.log.warn({
    event: 'gateway.client_mismatch',
    channelClientId: channel.clientId,
    registrationClientId: job.clientId,
  });
  throw new HttpProblem(
    'CLIENT_MISMATCH',
    'The registration names another client than the certificate or token that it came with.',
  );
}

/**
 * The worker's reply; else the one that an earlier delivery of the same request left, so that a
 * client which never waits learns its answer by sending again; else what is stored; else QUEUED.
 */
async function answerFor(
  context: GatewayContext,
  job: RegistrationJob,
  kid: string,
  bytes: Buffer | null,
): Promise<{ readonly status: number; readonly body: Buffer }> {
  const queued = { status: 202, body: encodeRegistrationReply(answer(job, kid, 'QUEUED', 0)) };
  try {
    const reply = bytes ?? (await context.replies.read(jobIdOf(job)).catch(() => null));
    if (reply !== null)
      return { status: registrationStatus(decodeRegistrationReply(reply).status), body: reply };
    const client = await context.store.findClient(job.clientId);
    const key = client?.keys.find((candidate) => candidate.kid === kid);
    if (client === null || key === undefined || client.state !== 'ACTIVE') return queued;
    return {
      status: 200,
      body: encodeRegistrationReply(answer(job, kid, 'ALREADY_REGISTERED', key.epoch)),
    };
  } catch (error) {
    context.log.warn({ event: 'gateway.outcome_unread', clientId: job.clientId, error });
    return queued;
  }
}

function answer(
  job: RegistrationJob,
  kid: string,
  status: RegistrationStatus,
  epoch: number,
): RegistrationReply {
  return {
    clientId: job.clientId,
    status,
    reason: 'NONE',
    epoch,
    kid,
    retry: status === 'QUEUED' ? 'SAME_MESSAGE_LATER' : 'NONE',
  };
}

/** 202 where the registration is kept but not decided, else 200. */
function registrationStatus(status: RegistrationStatus): number {
  return status === 'QUEUED' || status === 'PENDING' ? 202 : 200;
}
