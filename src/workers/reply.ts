import { sealReply } from '../jose/index.js';
import { encodeReplyStatement } from '../protocol/encode.js';
import type {
  ClientPolicy,
  Command,
  ItemResult,
  MessageReply,
  VolumeResult,
} from '../protocol/client-message.js';
import type { Guid } from '../protocol/guid.js';
import { retryOf } from '../protocol/retry-of.js';
import type { Disposition, Reason } from '../protocol/vocabulary.js';
import type { ReplyTarget } from './types.js';

/** What a reply says beside its addressee. */
export interface ReplyContent {
  readonly disposition: Disposition;
  readonly reason: Reason;
  readonly volumes: readonly VolumeResult[];
  readonly tpmOwnerAuth: ItemResult | null;
  readonly committedAtMs: number | null;
  readonly highestSequence: bigint;
  readonly commands: readonly Command[];
  readonly registerAnew: boolean;
  /** null: none applies, or the message is no check-in. */
  readonly policy: ClientPolicy | null;
}

/** What the site adds to every sealed reply. */
export interface ReplySite {
  readonly siteGuid: Guid;
  readonly siteDocumentVersion: number;
  readonly nowMs: number;
}

/** A reply with nothing sealed in it: advice to keep the old protector and come back. */
export function unsealedReply(
  messageId: Guid,
  disposition: Disposition,
  reason: Reason,
  retryAfterSeconds = 0,
): MessageReply {
  return {
    messageId,
    disposition,
    reason,
    retry: retryOf(disposition, reason),
    retryAfterSeconds,
    sealedReply: '',
  };
}

/**
 * Builds the reply to a verified message and seals its statement under the message's reply key.
 * Where the head could not be read there is no reply key, and the reply stays unsealed.
 */
export async function sealedReply(
  target: ReplyTarget,
  site: ReplySite,
  content: ReplyContent,
): Promise<MessageReply> {
  const reply = unsealedReply(target.messageId, content.disposition, content.reason);
  if (target.replyKey === null) return reply;
  const statement = encodeReplyStatement({
    siteGuid: site.siteGuid,
    clientId: target.clientId,
    messageId: target.messageId,
    payloadDigest: target.digest,
    disposition: content.disposition,
    reason: content.reason,
    retry: reply.retry,
    volumes: content.volumes,
    ...(content.tpmOwnerAuth === null ? {} : { tpmOwnerAuth: content.tpmOwnerAuth }),
    ...(content.committedAtMs === null ? {} : { committedAtMs: content.committedAtMs }),
    serverTimeMs: site.nowMs,
    highestSequence: content.highestSequence,
    siteDocumentVersion: site.siteDocumentVersion,
    commands: content.commands,
    registerAnew: content.registerAnew,
    epoch: target.epoch,
    ...(content.policy === null ? {} : { policy: content.policy }),
  });
  return { ...reply, sealedReply: await sealReply(statement, target.replyKey, target.messageId) };
}
