import { assertNever } from '../ops/errors.js';
import type { ReplyStatement } from '../protocol/client-message.js';
import { decodeClientMessage } from '../protocol/decode-client-message.js';
import { guidFromBytes, type Guid } from '../protocol/guid.js';
import {
  safeKey,
  SETTLED_KEPT,
  type ClientState,
  type HeldKey,
  type KeyOutcome,
  type SettledMessage,
  type StoredMessage,
} from './state.js';

/** What became of a message by a verified reply: it is done, or it is sent again later. */
export type Applied =
  { readonly kind: 'settled'; readonly message: SettledMessage } | { readonly kind: 'later' };

/**
 * Applies a verified reply to the state, in one step. The only place where a key ID becomes safe,
 * a message is dropped, or a secret is forgotten.
 */
export function applyReply(state: ClientState, message: StoredMessage, reply: ReplyStatement): Applied {
  if (!state.messages.some((one) => one.messageId === message.messageId)) return { kind: 'later' };
  applySite(state, reply);
  applyPolicy(state, message, reply);
  proveRenewal(state, message);
  const keys = applyKeys(state, reply);
  message.lastSaid = reply.reason === 'NONE' ? reply.disposition : `${reply.disposition} ${reply.reason}`;
  if (!isDone(reply)) return { kind: 'later' };

  holdRefused(state, message, keys);
  holdRefusedTpm(state, message, reply);
  const settled: SettledMessage = {
    messageId: message.messageId,
    bodyType: message.bodyType,
    sequence: message.sequence,
    disposition: reply.disposition,
    reason: reply.reason,
    serverTimeMs: reply.serverTimeMs,
    keys,
    tpmOwnerAuth:
      reply.tpmOwnerAuth === undefined
        ? null
        : { status: reply.tpmOwnerAuth.status, reason: reply.tpmOwnerAuth.reason },
  };
  state.messages = state.messages.filter((one) => one.messageId !== message.messageId);
  state.settled = [...state.settled, settled].slice(-SETTLED_KEPT);
  return { kind: 'settled', message: settled };
}

/** Whether sending the same message again is pointless: it is final, or needs a correction. */
function isDone(reply: ReplyStatement): boolean {
  switch (reply.disposition) {
    case 'COMMITTED':
    case 'ALREADY_COMMITTED':
    case 'PARTIAL':
      return true;
    case 'REJECTED':
      return reply.retry === 'NEVER' || reply.retry === 'NEW_MESSAGE';
    case 'QUEUED':
    case 'QUARANTINED':
      return false;
    default:
      return assertNever(reply.disposition);
  }
}

/** Sequence, time, commands, clone warning. */
function applySite(state: ClientState, reply: ReplyStatement): void {
  const above = reply.highestSequence + 1n;
  if (above > BigInt(state.nextSequence)) state.nextSequence = String(above);
  // The first epoch came with a registration's reply, which nobody signed: a verified one replaces it.
  if (reply.serverTimeMs >= state.serverTimeMs) state.epoch = reply.epoch;
  state.serverTimeMs = Math.max(state.serverTimeMs, reply.serverTimeMs);
  if (reply.registerAnew) state.registerAnew = true;
  // The newest reply's list replaces every earlier one; a reply that was overtaken changes nothing.
  if (reply.serverTimeMs < state.commandsAtMs) return;
  state.commandsAtMs = reply.serverTimeMs;
  state.commands = reply.commands.map((one) =>
    one.type === 'ESCROW' ? { ...one, keyIds: [...one.keyIds] } : { ...one },
  );
  for (const command of reply.commands) {
    if (command.type !== 'ESCROW') continue;
    // The site says that it cannot read these: whatever it said before, they are not safe.
    for (const keyId of command.keyIds) forget(state, command.volumeId, keyId);
  }
}

/**
 * Replies to check-ins say which policy applies, or by leaving it out that none does. One that did
 * not come to a verdict says nothing.
 */
function applyPolicy(state: ClientState, message: StoredMessage, reply: ReplyStatement): void {
  if (message.bodyType !== 'CHECK_IN' || reply.serverTimeMs < state.policyAtMs) return;
  const unsaid = reply.policy === undefined && reply.reason !== 'POLICY_REFUSED';
  if (unsaid) return;
  state.policy = reply.policy ?? null;
  state.policyAtMs = reply.serverTimeMs;
}

/**
 * A reply to a message that only the new key has signed shows that the site has that key. Until
 * then its registration is kept and sent again: the reply to a registration is not signed.
 */
function proveRenewal(state: ClientState, message: StoredMessage): void {
  const from = state.renewal?.provenFrom ?? null;
  if (from !== null && BigInt(message.sequence) >= BigInt(from)) state.renewal = null;
}

function forget(state: ClientState, volumeId: Guid, keyId: Guid): void {
  const gone = safeKey(volumeId, keyId);
  state.safe = Object.fromEntries(Object.entries(state.safe).filter(([name]) => name !== gone));
}

/** Marks what the reply lists as committed and the site can read, and forgets secrets held for it. */
function applyKeys(state: ClientState, reply: ReplyStatement): KeyOutcome[] {
  const keys = reply.volumes.flatMap((volume) =>
    volume.keys.map((key): KeyOutcome => ({
      volumeId: idText(volume.volumeId),
      keyId: idText(key.keyId),
      status: volume.status === 'REJECTED' ? 'REJECTED' : key.status,
      reason: key.reason === 'NONE' ? volume.reason : key.reason,
      badGroup: key.badGroup,
      keyPackage:
        key.keyPackage === undefined
          ? null
          : { status: key.keyPackage.status, reason: key.keyPackage.reason },
    })),
  );
  // A reply that was overtaken, or an old outcome, may list what the site has asked for since.
  const asked = new Set(
    state.commands.flatMap((one) =>
      one.type === 'ESCROW' ? one.keyIds.map((keyId) => safeKey(one.volumeId, keyId)) : [],
    ),
  );
  for (const key of keys) {
    if (key.status !== 'COMMITTED' || asked.has(safeKey(key.volumeId, key.keyId))) continue;
    state.safe[safeKey(key.volumeId, key.keyId)] = reply.committedAtMs ?? reply.serverTimeMs;
    state.held = state.held.filter((one) => one.volumeId !== key.volumeId || one.keyId !== key.keyId);
  }
  return keys;
}

/** Keeps the secrets of a finished message whose key IDs no reply has listed as committed. */
function holdRefused(state: ClientState, message: StoredMessage, keys: readonly KeyOutcome[]): void {
  const decoded = decodeClientMessage(Buffer.from(message.payload, 'base64'));
  if (decoded.kind !== 'message' || decoded.message.body.type !== 'ESCROW_RECOVERY_KEYS') return;
  for (const volume of decoded.message.body.volumes) {
    for (const protector of volume.protectors) {
      const volumeId = idText(volume.volumeId);
      const keyId = idText(protector.keyId);
      if (protector.recoveryPassword === undefined || safeKey(volumeId, keyId) in state.safe) continue;
      const told = keys.find((one) => one.volumeId === volumeId && one.keyId === keyId);
      const held: HeldKey = {
        volumeId,
        keyId,
        recoveryPassword: protector.recoveryPassword,
        keyPackage:
          protector.keyPackage === undefined ? null : Buffer.from(protector.keyPackage).toString('base64'),
        reason: told?.reason ?? 'NONE',
        badGroup: told?.badGroup ?? 0,
        messageId: message.messageId,
      };
      state.held = [...state.held.filter((one) => one.volumeId !== volumeId || one.keyId !== keyId), held];
    }
  }
}

/** The same for a TPM owner authorization, which Windows may not have any more. */
function holdRefusedTpm(state: ClientState, message: StoredMessage, reply: ReplyStatement): void {
  const decoded = decodeClientMessage(Buffer.from(message.payload, 'base64'));
  if (decoded.kind !== 'message' || decoded.message.body.type !== 'ESCROW_TPM_OWNER_AUTH') return;
  const { ownerAuth } = decoded.message.body;
  if (ownerAuth === undefined) return;
  state.heldTpmOwnerAuth =
    reply.tpmOwnerAuth?.status === 'COMMITTED'
      ? null
      : {
          ownerAuth: Buffer.from(ownerAuth).toString('base64'),
          reason: reply.tpmOwnerAuth?.reason ?? 'NONE',
          messageId: message.messageId,
        };
}

/** A GUID as text, or hex where the bytes are none. */
export function idText(bytes: Uint8Array): string {
  try {
    return guidFromBytes(bytes);
  } catch {
    return Buffer.from(bytes).toString('hex');
  }
}
