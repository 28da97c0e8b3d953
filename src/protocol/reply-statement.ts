import { assertNever } from '../ops/errors.js';
import type {
  ClientPolicy,
  Command,
  ItemResult,
  KeyResult,
  ReplyStatement,
  VolumeResult,
} from './client-message.js';
import { mpe } from './generated/mpe.js';
import { guidToBytes } from './guid.js';
import {
  dispositionWire,
  itemReasonWire,
  itemStatusWire,
  policyModeWire,
  reasonWire,
  retryWire,
} from './wire-enums.js';
import {
  bytesField,
  decoding,
  guidField,
  timeToLong,
  toBigInt,
  toLong,
  toTimeMs,
  wordField,
} from './wire.js';

/** Writes what a worker seals under the reply key. */
export function encodeReplyStatement(statement: ReplyStatement): Buffer {
  return Buffer.from(
    mpe.v1.ReplyStatement.encode({
      siteGuid: guidToBytes(statement.siteGuid),
      clientId: guidToBytes(statement.clientId),
      messageId: guidToBytes(statement.messageId),
      payloadDigest: statement.payloadDigest,
      disposition: dispositionWire.number(statement.disposition),
      reason: reasonWire.number(statement.reason),
      retry: retryWire.number(statement.retry),
      volumes: statement.volumes.map(encodeVolume),
      ...(statement.tpmOwnerAuth === undefined ? {} : { tpmOwnerAuth: encodeItem(statement.tpmOwnerAuth) }),
      ...(statement.committedAtMs === undefined
        ? {}
        : { committedAtUnixMs: timeToLong(statement.committedAtMs) }),
      serverTimeUnixMs: timeToLong(statement.serverTimeMs),
      highestSequence: toLong(statement.highestSequence),
      siteDocumentVersion: statement.siteDocumentVersion,
      commands: statement.commands.map(encodeCommand),
      registerAnew: statement.registerAnew,
      epoch: statement.epoch,
      ...(statement.policy === undefined ? {} : { policy: encodePolicy(statement.policy) }),
    }).finish(),
  );
}

/**
 * Reads an opened reply. Commands and item reasons newer than this release are ignored; a
 * disposition, retry or item status that it does not know is refused, because a client would act
 * on it.
 *
 * @throws MpeError MALFORMED
 */
export function decodeReplyStatement(bytes: Uint8Array): ReplyStatement {
  return decoding('ReplyStatement', () => {
    const raw = mpe.v1.ReplyStatement.decode(bytes);
    return {
      siteGuid: guidField(raw.siteGuid, 'ReplyStatement.site_guid'),
      clientId: guidField(raw.clientId, 'ReplyStatement.client_id'),
      messageId: guidField(raw.messageId, 'ReplyStatement.message_id'),
      payloadDigest: bytesField(raw.payloadDigest, 32, 'ReplyStatement.payload_digest'),
      disposition: wordField(dispositionWire, raw.disposition, 'ReplyStatement.disposition'),
      reason: reasonWire.word(raw.reason) ?? 'NONE',
      retry: wordField(retryWire, raw.retry, 'ReplyStatement.retry'),
      volumes: raw.volumes.map(decodeVolume),
      ...(raw.tpmOwnerAuth === null ? {} : { tpmOwnerAuth: decodeItem(raw.tpmOwnerAuth) }),
      ...(raw.committedAtUnixMs === null ? {} : { committedAtMs: toTimeMs(raw.committedAtUnixMs) }),
      serverTimeMs: toTimeMs(raw.serverTimeUnixMs),
      highestSequence: toBigInt(raw.highestSequence),
      siteDocumentVersion: raw.siteDocumentVersion,
      commands: raw.commands.flatMap(decodeCommand),
      registerAnew: raw.registerAnew,
      epoch: raw.epoch,
      ...(raw.policy === null ? {} : { policy: decodePolicy(raw.policy) }),
    };
  });
}

function encodePolicy(policy: ClientPolicy): mpe.v1.ClientPolicy.$Properties {
  return { ...policy, mode: policyModeWire.number(policy.mode) };
}

/** A mode newer than this release is taken as the one that takes keys and begins nothing by itself. */
function decodePolicy(raw: mpe.v1.ClientPolicy): ClientPolicy {
  return {
    mode: policyModeWire.word(raw.mode) ?? 'ESCROW',
    checkIntervalMinutes: Math.min(Math.max(raw.checkIntervalMinutes, 1), 2880),
    recoveryPasswords: raw.recoveryPasswords,
    keyPackages: raw.keyPackages,
    removableDrives: raw.removableDrives,
    tpmOwnerAuth: raw.tpmOwnerAuth,
  };
}

function encodeItem(item: ItemResult): mpe.v1.ItemResult.$Properties {
  return { status: itemStatusWire.number(item.status), reason: itemReasonWire.number(item.reason) };
}

function decodeItem(raw: mpe.v1.ItemResult | mpe.v1.KeyResult | mpe.v1.VolumeResult): ItemResult {
  return {
    status: wordField(itemStatusWire, raw.status, 'ItemResult.status'),
    reason: itemReasonWire.word(raw.reason) ?? 'NONE',
  };
}

function encodeVolume(volume: VolumeResult): mpe.v1.VolumeResult.$Properties {
  return { volumeId: volume.volumeId, ...encodeItem(volume), keys: volume.keys.map(encodeKey) };
}

function decodeVolume(raw: mpe.v1.VolumeResult): VolumeResult {
  return { volumeId: raw.volumeId, ...decodeItem(raw), keys: raw.keys.map(decodeKey) };
}

function encodeKey(key: KeyResult): mpe.v1.KeyResult.$Properties {
  return {
    keyId: key.keyId,
    ...encodeItem(key),
    badGroup: key.badGroup,
    ...(key.keyPackage === undefined ? {} : { keyPackage: encodeItem(key.keyPackage) }),
  };
}

function decodeKey(raw: mpe.v1.KeyResult): KeyResult {
  return {
    keyId: raw.keyId,
    ...decodeItem(raw),
    badGroup: raw.badGroup,
    ...(raw.keyPackage === null ? {} : { keyPackage: decodeItem(raw.keyPackage) }),
  };
}

function encodeCommand(command: Command): mpe.v1.Command.$Properties {
  switch (command.type) {
    case 'ROTATE_KEY':
      return {
        rotateKey: {
          requestId: guidToBytes(command.requestId),
          volumeId: guidToBytes(command.volumeId),
          keyId: guidToBytes(command.keyId),
          deadlineUnixMs: timeToLong(command.deadlineMs),
        },
      };
    case 'ESCROW':
      return {
        escrow: { volumeId: guidToBytes(command.volumeId), keyIds: command.keyIds.map(guidToBytes) },
      };
    default:
      return assertNever(command);
  }
}

function decodeCommand(raw: mpe.v1.Command): Command[] {
  if (raw.rotateKey !== null) {
    return [
      {
        type: 'ROTATE_KEY',
        requestId: guidField(raw.rotateKey.requestId, 'RotateKey.request_id'),
        volumeId: guidField(raw.rotateKey.volumeId, 'RotateKey.volume_id'),
        keyId: guidField(raw.rotateKey.keyId, 'RotateKey.key_id'),
        deadlineMs: toTimeMs(raw.rotateKey.deadlineUnixMs),
      },
    ];
  }
  if (raw.escrow !== null) {
    return [
      {
        type: 'ESCROW',
        volumeId: guidField(raw.escrow.volumeId, 'Escrow.volume_id'),
        keyIds: raw.escrow.keyIds.map((id) => guidField(id, 'Escrow.key_ids')),
      },
    ];
  }
  return [];
}
