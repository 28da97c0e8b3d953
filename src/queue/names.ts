import type { Guid } from '../protocol/guid.js';

/** The one BullMQ queue; messages and registrations share it, so that their order is the site's. */
export const QUEUE_NAME = 'messages';

/**
 * Start of every Redis key of a site. The braces are a hash tag: all keys of one site lie in one
 * slot, so the same names work on a Redis cluster later.
 */
export function keyPrefix(siteGuid: Guid): string {
  return `{mpe:${siteGuid.slice(0, 8)}}`;
}

/** Key of the reply to a job, kept for {@link REPLY_KEPT_SECONDS}. */
export function replyKey(siteGuid: Guid, jobId: string): string {
  return `${keyPrefix(siteGuid)}:reply:${jobId}`;
}

/** Pub/sub channel of one gateway process. */
export function replyChannel(siteGuid: Guid, gatewayId: string): string {
  return `${keyPrefix(siteGuid)}:replies:${gatewayId}`;
}

/** Key of a job's strikes. */
export function strikeKey(siteGuid: Guid, jobId: string): string {
  return `${keyPrefix(siteGuid)}:strikes:${jobId}`;
}

/** Key of a nonce that was issued and not yet taken. */
export function nonceKey(siteGuid: Guid, nonce: Uint8Array): string {
  return `${keyPrefix(siteGuid)}:nonce:${Buffer.from(nonce).toString('base64url')}`;
}

/** Key of what a client or an address has asked for lately. */
export function limitKey(siteGuid: Guid, name: string): string {
  return `${keyPrefix(siteGuid)}:limit:${name}`;
}

/** Key of a chore that one process at a time does. */
export function turnKey(siteGuid: Guid, chore: string): string {
  return `${keyPrefix(siteGuid)}:turn:${chore}`;
}

/** Seconds for which a reply can be read under its job id. */
export const REPLY_KEPT_SECONDS = 600;
