import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { certificateKeyOf, certificateSubject, sign, signCertificateProof } from '../jose/index.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import type { RegistrationReply } from '../protocol/client-message.js';
import { enrolmentSecretText } from '../protocol/enrolment-token.js';
import type { Guid } from '../protocol/guid.js';
import { newGuid } from '../protocol/guid.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import {
  decodeRegistrationReply,
  decodeRegistrationRequest,
  encodeRegistrationRequest,
  encodeRegistrationStatement,
} from '../protocol/registration.js';
import type { JoinType } from '../protocol/vocabulary.js';
import { backoffDelay } from './backoff.js';
import type { ClientContext } from './context.js';
import { callGateway, problemOf, PROTOBUF } from './gateway-call.js';

/** A registration cannot be asked about by GET: only a request that waits learns what became of it. */
const LEAST_WAIT_SECONDS = 2;

/** What a client says of its machine. Hints for operators; they identify nobody. */
export interface Machine {
  readonly machineName: string;
  readonly domain: string;
  /** For example the SMBIOS UUID. */
  readonly hardwareId: string;
  readonly joinType: JoinType;
}

/** What a registration is about. */
export interface RegistrationInput {
  readonly siteGuid: Guid;
  readonly clientId: Guid;
  /** The new key. */
  readonly key: PrivateJwk;
  /** 32 bytes from the enrolment token, for a new client id. */
  readonly secret?: Uint8Array;
  /** The key that is registered now, for a new key of a known client id. */
  readonly previousKey?: PrivateJwk;
  /** The client's certificate and its key, PEM: it registers the client and vouches for later keys. */
  readonly certificate?: { readonly cert: string; readonly key: string } | null;
  readonly machine: Machine;
  readonly createdAtMs: number;
}

/**
 * Makes the bytes of a registration, once. They are kept and sent again as they are, which makes
 * the registration one registration.
 */
export async function makeRegistration(input: RegistrationInput): Promise<Buffer> {
  const { key, secret, previousKey, machine } = input;
  const certificate = input.certificate ?? null;
  const statement = encodeRegistrationStatement({
    siteGuid: input.siteGuid,
    registrationId: newGuid(),
    clientId: input.clientId,
    publicKeyX: Buffer.from(key.x ?? '', 'base64url'),
    publicKeyY: Buffer.from(key.y ?? '', 'base64url'),
    createdAtMs: input.createdAtMs,
    enrolmentTokenSha256:
      secret === undefined ? new Uint8Array(0) : createHash('sha256').update(secret).digest(),
    ...(certificate === null
      ? {}
      : { certificateKeySha256: Buffer.from(certificateSubject(certificateKeyOf(certificate.cert)), 'hex') }),
  });
  return encodeRegistrationRequest({
    jws: await sign(statement, key, 'mpe-reg+jws'),
    ...(secret === undefined ? {} : { enrolmentToken: enrolmentSecretText(secret) }),
    ...machine,
    ...(previousKey === undefined
      ? {}
      : { previousKeyJws: await sign(statement, previousKey, 'mpe-reg+jws') }),
    ...(certificate === null ? {} : { certificateProof: signCertificateProof(statement, certificate) }),
  });
}

/**
 * Whether a request that was kept proves by another certificate than the one that the client shows now.
 * The site would refuse it, by that request for good: it is to be made anew, for the same key. A client
 * that shows none (any more) may keep it.
 */
export function provesAnother(
  request: Uint8Array,
  certificate: RegistrationInput['certificate'] | undefined,
): boolean {
  if (certificate === null || certificate === undefined) return false;
  const { certificateProof } = decodeRegistrationRequest(request);
  return !certificateKeyOf(certificate.cert).equals(Buffer.from(certificateProof?.key ?? []));
}

/** Whether a request that was kept was made with another enrolment token. */
export function holdsAnotherToken(request: Uint8Array, secret: Uint8Array): boolean {
  return decodeRegistrationRequest(request).enrolmentToken !== enrolmentSecretText(secret);
}

/**
 * Sends a registration until the site has decided, within a time.
 *
 * @param timeoutMs how long to go on; the request may be sent again later with the same bytes.
 * @throws MpeError REGISTRATION_REFUSED (facts.reason) for good, UNREACHABLE where the time is over
 *   first, NOT_AUTHENTIC where the server's certificate is refused.
 */
export async function sendRegistration(
  context: Pick<ClientContext, 'agent' | 'url' | 'settings'>,
  request: Uint8Array,
  timeoutMs: number,
): Promise<RegistrationReply> {
  const { settings } = context;
  const until = performance.now() + timeoutMs;
  for (let attempt = 0; ; attempt += 1) {
    const { reply, why, floorMs } = await attemptOnce(context, request);
    if (reply !== null) return reply;
    settings.onEvent({ event: 'client.registration-waits', why });
    const delay = backoffDelay(settings.backoff, attempt, floorMs, settings.random());
    if (performance.now() + delay > until) {
      throw new MpeError(
        'UNREACHABLE',
        `not registered yet (${why}); run it again: it goes on with the same request`,
      );
    }
    await sleep(delay);
  }
}

async function attemptOnce(
  context: Pick<ClientContext, 'agent' | 'url' | 'settings'>,
  request: Uint8Array,
): Promise<{ reply: RegistrationReply | null; why: string; floorMs: number }> {
  const { agent, url, settings } = context;
  try {
    const answer = await callGateway({
      agent,
      url,
      settings,
      method: 'POST',
      path: '/v1/clients',
      body: request,
      waitSeconds: Math.max(settings.waitSeconds, LEAST_WAIT_SECONDS),
      ...(settings.deviceToken === null ? {} : { bearer: (await settings.deviceToken()).trim() }),
    });
    const floorMs = (answer.retryAfterSeconds ?? 0) * 1000;
    if ((answer.status !== 200 && answer.status !== 202) || answer.contentType !== PROTOBUF) {
      return { reply: null, why: problemOf('POST /v1/clients', answer).message, floorMs };
    }
    const reply = decodeRegistrationReply(answer.body);
    if (reply.status === 'REGISTERED' || reply.status === 'ALREADY_REGISTERED') {
      return { reply, why: '', floorMs };
    }
    if (reply.status === 'REFUSED' && reply.reason !== 'TEMPORARY') {
      throw new MpeError('REGISTRATION_REFUSED', `the site refuses this client: ${reply.reason}`, {
        facts: { reason: reply.reason },
      });
    }
    const waits = reply.status === 'PENDING' ? 'an operator has to accept this client' : reply.status;
    return { reply: null, why: waits, floorMs };
  } catch (error) {
    if (!isMpeError(error, 'UNREACHABLE') && !isMpeError(error, 'MALFORMED')) throw error;
    return { reply: null, why: error.message, floorMs: 0 };
  }
}
