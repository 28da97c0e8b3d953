import type { MessageReply, RegistrationReply } from '../protocol/client-message.js';
import type { Guid } from '../protocol/guid.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import type { JoinType } from '../protocol/vocabulary.js';
import type { BuiltMessage, BuiltRegistration } from './built-case.js';

/** Who the channel says is sending. */
export interface ChannelFacts {
  /** null: no token at all. */
  readonly clientId: Guid | null;
  /** The registered key that the token is for. */
  readonly key: PrivateJwk;
}

/** What goes with a registration, unsigned. */
export interface RegistrationHints {
  readonly machineName: string;
  readonly domain: string;
  readonly hardwareId: string;
  readonly joinType: JoinType;
}

/** An answer: from the engine, or a refusal before the queue. `status` is null where there is no HTTP. */
export type Answer<R> =
  | { readonly kind: 'reply'; readonly reply: R; readonly status: number | null }
  | { readonly kind: 'problem'; readonly status: number; readonly code: string };

/** Where fixtures are sent to. */
export interface ReplayTarget {
  readonly kind: 'in-process' | 'gateway';
  /** @param waitSeconds for `Prefer: wait` */
  register(
    built: BuiltRegistration,
    hints: RegistrationHints,
    waitSeconds: number,
  ): Promise<Answer<RegistrationReply>>;
  /** @param waitSeconds for `Prefer: wait` */
  send(built: BuiltMessage, channel: ChannelFacts, waitSeconds: number): Promise<Answer<MessageReply>>;
  /** Rows of keys and generations added so far, where the target can tell. */
  keysWritten(): number | null;
  close(): Promise<void>;
}
