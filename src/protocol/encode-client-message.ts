import { assertNever } from '../ops/errors.js';
import type { Body, ClientMessage, EscrowVolume, ReportedVolume } from './client-message.js';
import { mpe } from './generated/mpe.js';
import { guidToBytes } from './guid.js';
import {
  bodyTypeNumber,
  otherManagerWire,
  protectionStateWire,
  rotationOutcomeWire,
  volumeTypeNumber,
} from './wire-enums.js';
import { timeToLong, toLong, utf8Text } from './wire.js';

/**
 * Writes the bytes that a client signs. The same message gives the same bytes; their SHA-256 is the
 * message's digest. No value is judged here.
 */
export function encodeClientMessage(message: ClientMessage): Buffer {
  return Buffer.from(
    mpe.v1.ClientMessage.encode({
      siteGuid: guidToBytes(message.siteGuid),
      messageId: guidToBytes(message.messageId),
      clientId: guidToBytes(message.clientId),
      bodyType: bodyTypeNumber(message.bodyType),
      replyKey: message.replyKey,
      sequence: toLong(message.sequence),
      createdAtUnixMs: timeToLong(message.createdAtMs),
      clientVersion: utf8Text(message.clientVersion),
      ...bodyFields(message.body),
    }).finish(),
  );
}

function bodyFields(body: Body): mpe.v1.ClientMessage.$Properties {
  switch (body.type) {
    case 'ESCROW_RECOVERY_KEYS':
      return { escrowRecoveryKeys: { volumes: body.volumes.map(escrowVolume) } };
    case 'ESCROW_TPM_OWNER_AUTH':
      return { escrowTpmOwnerAuth: body.ownerAuth === undefined ? {} : { ownerAuth: body.ownerAuth } };
    case 'ROTATION_RESULT':
      return {
        rotationResult: {
          requestId: body.requestId,
          outcome: rotationOutcomeWire.number(body.outcome),
          ...(body.errorCode === undefined ? {} : { errorCode: toLong(body.errorCode) }),
          ...(body.errorText === undefined ? {} : { errorText: utf8Text(body.errorText) }),
          ...(body.newKeyId === undefined ? {} : { newKeyId: body.newKeyId }),
        },
      };
    case 'CHECK_IN':
      return {
        checkIn: {
          volumes: body.volumes.map(reportedVolume),
          machineName: utf8Text(body.machineName),
          domain: utf8Text(body.domain),
          users: body.users.map(({ domain, name }) => ({ domain: utf8Text(domain), name: utf8Text(name) })),
          otherManagers: body.otherManagers.map((word) => otherManagerWire.number(word)),
          ...(body.lastError === undefined
            ? {}
            : {
                lastError: {
                  code: toLong(body.lastError.code),
                  text: utf8Text(body.lastError.text),
                  atUnixMs: timeToLong(body.lastError.atMs),
                },
              }),
        },
      };
    default:
      return assertNever(body);
  }
}

function escrowVolume(volume: EscrowVolume): mpe.v1.EscrowVolume.$Properties {
  return {
    volumeId: volume.volumeId,
    volumeType: volumeTypeNumber(volume.volumeType),
    driveLabel: utf8Text(volume.driveLabel),
    protection: protectionStateWire.number(volume.protection),
    protectors: volume.protectors.map((protector) => ({
      keyId: protector.keyId,
      ...(protector.recoveryPassword === undefined
        ? {}
        : { recoveryPassword: utf8Text(protector.recoveryPassword) }),
      ...(protector.keyPackage === undefined ? {} : { keyPackage: protector.keyPackage }),
    })),
  };
}

function reportedVolume(volume: ReportedVolume): mpe.v1.ReportedVolume.$Properties {
  return {
    volumeId: volume.volumeId,
    volumeType: volumeTypeNumber(volume.volumeType),
    driveLabel: utf8Text(volume.driveLabel),
    protection: protectionStateWire.number(volume.protection),
    keyIds: [...volume.keyIds],
  };
}
