import type { PinnedAgent } from './pinned-agent.js';
import type { Backoff } from './backoff.js';
import type { OnEvent } from './events.js';
import type { SiteDocument } from '../protocol/site-document.js';
import type { StateKeeper } from './state-keeper.js';

/** Settings of a client; each has a default. */
export interface ClientOptions {
  /** Seconds that a request asks the gateway to wait for the reply (0 to 30). Default 10. */
  readonly waitSeconds?: number;
  /** Milliseconds for a request beyond its wait. Default 10,000. */
  readonly timeoutMs?: number;
  readonly backoff?: Backoff;
  /** Messages in flight at a time. Default 4. */
  readonly concurrency?: number;
  /** Receives what happens, without secrets. */
  readonly onEvent?: OnEvent;
  /** Local time in milliseconds. Shown to operators and used for warnings; decides nothing. */
  readonly now?: () => number;
  /** Names the program in its messages, at most 64 characters. */
  readonly clientVersion?: string;
  /** Numbers in [0, 1) for jitter. */
  readonly random?: () => number;
  /** A client certificate (PEM, with intermediates) and its key: shown to the gateway instead of a site token. */
  readonly certificate?: { readonly cert: string; readonly key: string } | null;
  /** Reads the device token of the tenant, each time one is needed: sent instead of a site token. */
  readonly deviceToken?: (() => string | Promise<string>) | null;
}

/** The settings with their defaults filled in. */
export type Settings = Required<ClientOptions>;

/** Gives what goes into `Authorization`; see `site-token.ts` and `device-token.ts`. */
export interface TokenSource {
  /** null: nothing, the connection itself says who we are. */
  get(context: ClientContext): Promise<string | null>;
  drop(refused: string): void;
}

/** What the operations of a client share. */
export interface ClientContext {
  readonly settings: Settings;
  readonly keeper: StateKeeper;
  readonly url: URL;
  readonly token: TokenSource;
  /** The document in use; replaced by a newer one. */
  document: SiteDocument;
  /** Verifies TLS against the pinned CA; replaced when the CA changes. */
  agent: PinnedAgent;
  /** The refresh under way, which others join. */
  refreshing: Promise<void> | null;
}
