import { decodeClientMessage } from '../protocol/decode.js';
import type { ClientMessage, MessageHead } from '../protocol/client-message.js';
import { bodyTypeNumber } from '../protocol/wire-enums.js';
import type { Guid } from '../protocol/guid.js';
import type { MessageJob } from '../queue/index.js';
import { refuse, type Refusal } from './types.js';

/** After `decode`. A malformed message is answered sealed where its head could be read. */
export type DecodeResult =
  | { readonly kind: 'message'; readonly message: ClientMessage }
  | { readonly kind: 'unknown body'; readonly head: MessageHead; readonly refusal: Refusal }
  | { readonly kind: 'malformed'; readonly head: MessageHead | null; readonly refusal: Refusal }
  | Refusal;

/**
 * Stage `decode`: protobuf, then identity. Site, message, client and body type that the client
 * signed must be those of the envelope and of the channel; a difference means that somebody put a
 * genuine message into another envelope, so it is CANNOT_OPEN and leaves nothing.
 */
export function decodeMessage(payload: Uint8Array, job: MessageJob, siteGuid: Guid): DecodeResult {
  const decoded = decodeClientMessage(payload);
  switch (decoded.kind) {
    case 'message': {
      const mismatch = identityMismatch(decoded.message, job, siteGuid);
      return mismatch ?? { kind: 'message', message: decoded.message };
    }
    case 'unknown body': {
      const mismatch = identityMismatch(decoded.head, job, siteGuid);
      const refusal = refuse('BODY_TYPE_UNKNOWN', `decode: body type ${String(decoded.head.bodyType)}`);
      return mismatch ?? { kind: 'unknown body', head: decoded.head, refusal };
    }
    case 'malformed': {
      const head = decoded.head ?? null;
      const mismatch = head === null ? null : identityMismatch(head, job, siteGuid);
      const refusal = refuse('MALFORMED', `decode: ${decoded.problem}`);
      return mismatch ?? { kind: 'malformed', head, refusal };
    }
  }
}

function identityMismatch(head: MessageHead, job: MessageJob, siteGuid: Guid): Refusal | null {
  const differs = (what: string): Refusal => refuse('CANNOT_OPEN', `decode: ${what}`);
  if (head.siteGuid !== siteGuid) return differs('signed for another site');
  if (head.messageId !== job.messageId) return differs("the signed message id is not the envelope's");
  if (head.clientId !== job.clientId) return differs("the signed client id is not the envelope's");
  if (job.channel.clientId !== job.clientId) return differs("the envelope's client is not the channel's");
  const signed = typeof head.bodyType === 'number' ? head.bodyType : bodyTypeNumber(head.bodyType);
  if (signed !== job.bodyType) return differs("the signed body type is not the envelope's");
  return null;
}
