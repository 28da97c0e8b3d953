import { createHash } from 'node:crypto';
import type { RegistrationSettings } from '../config/index.js';
import {
  certificateSubject,
  guard,
  peekKid,
  thumbprint,
  verify,
  verifyCertificateProof,
} from '../jose/index.js';
import { isMpeError } from '../ops/errors.js';
import type { RegistrationReply, RegistrationStatement } from '../protocol/client-message.js';
import { decodeRegistrationStatement } from '../protocol/decode.js';
import type { Guid } from '../protocol/guid.js';
import type { PublicJwk } from '../protocol/jwk.js';
import type { RegistrationReason, RegistrationStatus, Retry } from '../protocol/vocabulary.js';
import { assertNever } from '../ops/errors.js';
import type { RegistrationJob } from '../queue/index.js';
import type { RegistrationChannel, SiteStore } from '../store/site-store.js';
import { publicJwk } from './verify.js';

/** A registration's answer, with what the operator's log says of it. */
export interface RegistrationAnswer {
  readonly reply: RegistrationReply;
  readonly cause: string;
}

const DEFAULTS: RegistrationSettings = { ways: ['token', 'client-certificate', 'entra'], pendingMax: 10_000 };

/** Ends a registration whose proof does not hold. */
class ProofInvalid extends Error {}

/** What a client does next. Words of messages, read for registrations: NEW_MESSAGE = a new request. */
export function registrationRetry(status: RegistrationStatus, reason: RegistrationReason): Retry {
  switch (status) {
    case 'REGISTERED':
    case 'ALREADY_REGISTERED':
      return 'NONE';
    case 'QUEUED':
    case 'PENDING':
      return 'SAME_MESSAGE_LATER';
    case 'REFUSED':
      break;
    default:
      return assertNever(status);
  }
  switch (reason) {
    case 'TEMPORARY':
    case 'CLIENT_BLOCKED':
      return 'SAME_MESSAGE_LATER';
    case 'NONE':
    case 'PROOF_INVALID':
    case 'TOKEN_REFUSED':
    case 'CLIENT_EXISTS':
      return 'NEVER';
    case 'KEY_IN_USE':
      return 'NEW_MESSAGE';
    default:
      return assertNever(reason);
  }
}

/** A registration's answer in full. */
export function registrationReply(
  clientId: Guid,
  kid: string,
  status: RegistrationStatus,
  reason: RegistrationReason,
  epoch: number,
): RegistrationReply {
  return { clientId, status, reason, epoch, kid, retry: registrationRetry(status, reason) };
}

/**
 * Verifies and commits a registration.
 *
 * The key is the one inside the statement, which signs the statement: proof of possession. The
 * statement binds site, client, registration and enrolment token to that key, so neither a gateway
 * nor a thief of the token can register another key with it. A new key for a known client needs a
 * signature over the same bytes by the *current* key, or by the key of the certificate that the
 * client registered with. What a gateway says of a channel makes new clients, and no more.
 *
 * @throws MpeError STORE_TRANSIENT, STORE_FAILED
 */
export async function processRegistration(
  job: RegistrationJob,
  context: {
    readonly siteGuid: Guid;
    readonly store: SiteStore;
    readonly nowMs: number;
    readonly settings?: RegistrationSettings;
  },
): Promise<RegistrationAnswer> {
  const { siteGuid, store, nowMs } = context;
  const { ways, pendingMax } = context.settings ?? DEFAULTS;
  let kid = '';
  try {
    const { statement, key, payload } = await provePossession(job);
    kid = key.kid;
    bind(statement, job, siteGuid);
    const provenByKid =
      job.previousKeyJws === null ? null : await provePrevious(job.previousKeyJws, payload, kid, job, store);
    const named = Buffer.from(statement.certificateKeySha256 ?? []).toString('hex');
    const provenCertificate = proveCertificate(job, payload, named);
    const result = await store.commitRegistration({
      clientId: job.clientId,
      registrationId: job.registrationId,
      kid,
      publicJwk: JSON.stringify(key),
      enrolmentTokenHash:
        job.enrolmentTokenHash === null || !ways.includes('token')
          ? null
          : Buffer.from(job.enrolmentTokenHash, 'hex'),
      provenByKid,
      channel: channelOf(job, named),
      certificateSubject: provenCertificate,
      admission: {
        channels: ways.filter((way) => way === 'client-certificate' || way === 'entra'),
        channelRenews: ways.includes('channel-renewal'),
        approval: ways.includes('approval'),
        pendingMax,
      },
      machineName: job.machineName,
      domain: job.domain,
      hardwareId: job.hardwareId,
      joinType: job.joinType,
      atMs: nowMs,
    });
    return {
      reply: registrationReply(job.clientId, kid, result.status, result.reason, result.epoch),
      cause: result.reason === 'NONE' ? '' : `the site database answered ${result.reason}`,
    };
  } catch (error) {
    if (!(error instanceof ProofInvalid)) throw error;
    return {
      reply: registrationReply(job.clientId, kid, 'REFUSED', 'PROOF_INVALID', 0),
      cause: error.message,
    };
  }
}

async function provePossession(
  job: RegistrationJob,
): Promise<{ statement: RegistrationStatement; key: PublicJwk; payload: Buffer }> {
  try {
    guard(job.jws, 'mpe-reg+jws');
    // Read before it is verified, as the key is inside; nothing is believed until it verifies.
    const claimed = decodeRegistrationStatement(Buffer.from(job.jws.split('.')[1] ?? '', 'base64url'));
    const bare = {
      kty: 'EC',
      crv: 'P-256',
      alg: 'ES256',
      x: Buffer.from(claimed.publicKeyX).toString('base64url'),
      y: Buffer.from(claimed.publicKeyY).toString('base64url'),
      kid: '',
    } as const;
    const key: PublicJwk = { ...bare, kid: thumbprint(bare) };
    if (peekKid(job.jws, 'mpe-reg+jws') !== key.kid)
      throw new ProofInvalid('the kid is not the thumbprint of the key in the statement');
    const { payload } = await verify(job.jws, 'mpe-reg+jws', key);
    return { statement: decodeRegistrationStatement(payload), key, payload };
  } catch (error) {
    throw asProofInvalid(error, 'proof of possession');
  }
}

function bind(statement: RegistrationStatement, job: RegistrationJob, siteGuid: Guid): void {
  if (statement.siteGuid !== siteGuid) throw new ProofInvalid('the statement is for another site');
  if (statement.clientId !== job.clientId) throw new ProofInvalid('the statement names another client');
  if (statement.registrationId !== job.registrationId)
    throw new ProofInvalid('the statement names another registration');
  const signed = Buffer.from(statement.enrolmentTokenSha256).toString('hex');
  if (signed !== (job.enrolmentTokenHash ?? ''))
    throw new ProofInvalid('the statement is bound to another enrolment token, or to none');
}

async function provePrevious(
  jws: string,
  payload: Buffer,
  newKid: string,
  job: RegistrationJob,
  store: SiteStore,
): Promise<string> {
  try {
    const kid = peekKid(jws, 'mpe-reg+jws');
    const client = await store.findClient(job.clientId);
    // The same request again, after it took effect: the previous key is no longer the current one.
    const done = client?.keys.some((key) => key.kid === newKid) ?? false;
    const current = client?.keys.find((key) => key.kid === kid && (done || key.epoch === client.epoch));
    if (current === undefined)
      throw new ProofInvalid("the previous key's signature is not by the client's current key");
    const previous = await verify(jws, 'mpe-reg+jws', publicJwk(current));
    const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    if (digest(previous.payload) !== digest(payload))
      throw new ProofInvalid('the previous key signed other bytes');
    return kid;
  } catch (error) {
    throw asProofInvalid(error, "the previous key's signature");
  }
}

/**
 * The channel that registers the client and is remembered. A certificate counts only where the
 * statement names its key: a stolen gateway could otherwise put its own beside somebody's request,
 * and vouch with it for a key of its own later.
 */
function channelOf(job: RegistrationJob, named: string): RegistrationChannel | null {
  const { channel } = job;
  if (channel === undefined || channel.method === 'site-token' || channel.clientId !== job.clientId)
    return null;
  if (channel.method === 'entra') return { kind: 'entra', subject: channel.subject };
  if (named === '') return null;
  if (named !== channel.subject) throw new ProofInvalid('the statement names another certificate');
  return { kind: 'client-certificate', subject: channel.subject };
}

/** The mark of the certificate whose key signed the statement that names it; null where none did. */
function proveCertificate(job: RegistrationJob, payload: Buffer, named: string): string | null {
  if (job.certificateProof === undefined) return null;
  const key = Buffer.from(job.certificateProof.key, 'base64');
  const subject = certificateSubject(key);
  if (subject !== named)
    throw new ProofInvalid('the certificate key is not the one that the statement names');
  try {
    verifyCertificateProof(payload, {
      key,
      signature: Buffer.from(job.certificateProof.signature, 'base64'),
    });
    return subject;
  } catch (error) {
    throw asProofInvalid(error, "the certificate's signature");
  }
}

function asProofInvalid(error: unknown, what: string): unknown {
  return isMpeError(error, 'CANNOT_OPEN') ||
    isMpeError(error, 'MALFORMED') ||
    isMpeError(error, 'VALUE_INVALID')
    ? new ProofInvalid(`${what}: ${error.message}`)
    : error;
}
