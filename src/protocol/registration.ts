import type { RegistrationReply, RegistrationRequest, RegistrationStatement } from './client-message.js';
import { mpe } from './generated/mpe.js';
import { guidToBytes } from './guid.js';
import { LIMITS } from './vocabulary.js';
import { joinTypeWire, registrationReasonWire, registrationStatusWire, retryWire } from './wire-enums.js';
import {
  bytesField,
  decoding,
  guidField,
  malformed,
  timeToLong,
  toTimeMs,
  utf8Text,
  wordField,
} from './wire.js';

/**
 * Reads the body of POST /v1/clients. A join type newer than this release reads as UNSPECIFIED: it
 * is a hint.
 *
 * @throws MpeError MALFORMED where it is no RegistrationRequest, is above its limit, lacks the JWS
 * or holds a name that is too long or has control characters.
 */
export function decodeRegistrationRequest(bytes: Uint8Array): RegistrationRequest {
  if (bytes.length > LIMITS.registrationBytes) {
    throw malformed('RegistrationRequest', `larger than ${String(LIMITS.registrationBytes)} bytes`);
  }
  return decoding('RegistrationRequest', () => {
    const raw = mpe.v1.RegistrationRequest.decode(bytes);
    if (raw.jws === '') throw malformed('RegistrationRequest', 'jws is missing');
    for (const [field, text] of [
      ['machine_name', raw.machineName],
      ['domain', raw.domain],
      ['hardware_id', raw.hardwareId],
    ] as const) {
      if (text.length > LIMITS.nameChars) {
        throw malformed(`RegistrationRequest.${field}`, `more than ${String(LIMITS.nameChars)} characters`);
      }
      // As in a CheckIn; U+0000 among them is what some databases cannot hold.
      if (/\p{Cc}/u.test(text)) throw malformed(`RegistrationRequest.${field}`, 'holds a control character');
    }
    return {
      jws: raw.jws,
      ...(raw.enrolmentToken === null ? {} : { enrolmentToken: raw.enrolmentToken }),
      machineName: raw.machineName,
      domain: raw.domain,
      hardwareId: raw.hardwareId,
      joinType: joinTypeWire.word(raw.joinType) ?? 'UNSPECIFIED',
      ...(raw.previousKeyJws === null ? {} : { previousKeyJws: raw.previousKeyJws }),
      ...(raw.certificateKey === null || raw.certificateSignature === null
        ? {}
        : { certificateProof: { key: raw.certificateKey, signature: raw.certificateSignature } }),
    };
  });
}

/** Writes the body of POST /v1/clients. */
export function encodeRegistrationRequest(request: RegistrationRequest): Buffer {
  return Buffer.from(
    mpe.v1.RegistrationRequest.encode({
      jws: request.jws,
      ...(request.enrolmentToken === undefined ? {} : { enrolmentToken: request.enrolmentToken }),
      machineName: utf8Text(request.machineName),
      domain: utf8Text(request.domain),
      hardwareId: utf8Text(request.hardwareId),
      joinType: joinTypeWire.number(request.joinType),
      ...(request.previousKeyJws === undefined ? {} : { previousKeyJws: request.previousKeyJws }),
      ...(request.certificateProof === undefined
        ? {}
        : {
            certificateKey: request.certificateProof.key,
            certificateSignature: request.certificateProof.signature,
          }),
    }).finish(),
  );
}

/**
 * Reads what the new key signed. Whether the coordinates are a point is judged where the key is used.
 *
 * @throws MpeError MALFORMED
 */
export function decodeRegistrationStatement(bytes: Uint8Array): RegistrationStatement {
  return decoding('RegistrationStatement', () => {
    const raw = mpe.v1.RegistrationStatement.decode(bytes);
    const token = raw.enrolmentTokenSha256;
    const certificate = raw.certificateKeySha256;
    return {
      siteGuid: guidField(raw.siteGuid, 'RegistrationStatement.site_guid'),
      registrationId: guidField(raw.registrationId, 'RegistrationStatement.registration_id'),
      clientId: guidField(raw.clientId, 'RegistrationStatement.client_id'),
      publicKeyX: bytesField(raw.publicKeyX, 32, 'RegistrationStatement.public_key_x'),
      publicKeyY: bytesField(raw.publicKeyY, 32, 'RegistrationStatement.public_key_y'),
      createdAtMs: toTimeMs(raw.createdAtUnixMs),
      enrolmentTokenSha256:
        token.length === 0 ? token : bytesField(token, 32, 'RegistrationStatement.enrolment_token_sha256'),
      ...(certificate.length === 0
        ? {}
        : {
            certificateKeySha256: bytesField(certificate, 32, 'RegistrationStatement.certificate_key_sha256'),
          }),
    };
  });
}

/** Writes the bytes that the new key (and the old one, where there is one) signs. */
export function encodeRegistrationStatement(statement: RegistrationStatement): Buffer {
  return Buffer.from(
    mpe.v1.RegistrationStatement.encode({
      siteGuid: guidToBytes(statement.siteGuid),
      registrationId: guidToBytes(statement.registrationId),
      clientId: guidToBytes(statement.clientId),
      publicKeyX: statement.publicKeyX,
      publicKeyY: statement.publicKeyY,
      createdAtUnixMs: timeToLong(statement.createdAtMs),
      enrolmentTokenSha256: statement.enrolmentTokenSha256,
      ...(statement.certificateKeySha256 === undefined || statement.certificateKeySha256.length === 0
        ? {}
        : { certificateKeySha256: statement.certificateKeySha256 }),
    }).finish(),
  );
}

/**
 * Reads the answer to POST /v1/clients. A reason newer than this release reads as NONE.
 *
 * @throws MpeError MALFORMED
 */
export function decodeRegistrationReply(bytes: Uint8Array): RegistrationReply {
  return decoding('RegistrationReply', () => {
    const raw = mpe.v1.RegistrationReply.decode(bytes);
    return {
      clientId: guidField(raw.clientId, 'RegistrationReply.client_id'),
      status: wordField(registrationStatusWire, raw.status, 'RegistrationReply.status'),
      reason: registrationReasonWire.word(raw.reason) ?? 'NONE',
      epoch: raw.epoch,
      kid: raw.kid,
      retry: wordField(retryWire, raw.retry, 'RegistrationReply.retry'),
    };
  });
}

/** Writes the answer to POST /v1/clients. */
export function encodeRegistrationReply(reply: RegistrationReply): Buffer {
  return Buffer.from(
    mpe.v1.RegistrationReply.encode({
      clientId: guidToBytes(reply.clientId),
      status: registrationStatusWire.number(reply.status),
      reason: registrationReasonWire.number(reply.reason),
      epoch: reply.epoch,
      kid: reply.kid,
      retry: retryWire.number(reply.retry),
    }).finish(),
  );
}
