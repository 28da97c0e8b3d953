import type { Guid } from '../protocol/guid.js';
import type { Disposition, Reason } from '../protocol/vocabulary.js';

/** What a client tells its caller while it works. For logs and displays; never a secret. */
export type ClientEvent =
  | { readonly event: 'client.message-made'; readonly messageId: Guid; readonly sequence: string }
  | { readonly event: 'client.message-sent'; readonly messageId: Guid; readonly how: 'POST' | 'GET' }
  /** Unauthenticated advice: nothing was acted on. */
  | {
      readonly event: 'client.advice';
      readonly messageId: Guid;
      readonly disposition: Disposition;
      readonly reason: Reason;
    }
  /** A sealed reply that is not this message's, or does not verify. */
  | { readonly event: 'client.reply-refused'; readonly messageId: Guid; readonly detail: string }
  /** A verified reply. */
  | {
      readonly event: 'client.reply-verified';
      readonly messageId: Guid;
      readonly disposition: Disposition;
      readonly reason: Reason;
    }
  | {
      readonly event: 'client.backing-off';
      readonly messageId: Guid;
      readonly delayMs: number;
      readonly why: string;
    }
  | { readonly event: 'client.registered'; readonly clientId: Guid; readonly epoch: number }
  | { readonly event: 'client.registration-waits'; readonly why: string }
  | { readonly event: 'client.token-obtained'; readonly lifetimeSeconds: number }
  | { readonly event: 'client.site-document-taken'; readonly version: number }
  | { readonly event: 'client.site-document-refused'; readonly detail: string }
  /** Judged by the last authenticated server time; it only warns. */
  | { readonly event: 'client.site-document-expired'; readonly expiredAtMs: number }
  | { readonly event: 'client.tls-dates'; readonly detail: string }
  /** Of an escrow, what the policy does not take was not sent. */
  | { readonly event: 'client.policy-holds-back'; readonly volumes: number; readonly packages: number }
  | { readonly event: 'client.commands'; readonly rotate: number; readonly escrow: number }
  /** The events of MBAM's client, with their numbers. */
  | {
      readonly event: 'client.tpm-owner-auth-escrowed';
      readonly mbamEventId: 28;
      readonly messageId: Guid;
    }
  | {
      readonly event: 'client.recovery-key-escrowed';
      readonly mbamEventId: 29;
      readonly volumeId: string;
      readonly keyId: string;
    }
  | {
      readonly event: 'client.recovery-key-reset';
      readonly mbamEventId: 30;
      readonly volumeId: Guid;
      /** The protector that was removed. */
      readonly keyId: Guid;
      readonly newKeyId: Guid;
    }
  /** The site saw this client's key or sequence twice. */
  | { readonly event: 'client.register-anew' };

/** Takes events; must not throw. */
export type OnEvent = (event: ClientEvent) => void;
