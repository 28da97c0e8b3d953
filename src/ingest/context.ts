import type { Clock } from '../ops/clock.js';
import type { Logger } from '../ops/log.js';
import type { Metrics } from '../ops/metrics.js';
import type { Guid } from '../protocol/guid.js';
import type { NonceStore, ReplyBus, SubmitQueue } from '../queue/index.js';
import type { SiteStore } from '../store/site-store.js';
import type { Authenticator } from './authenticators/authenticator.js';
import type { Limits } from './limits.js';
import type { Proxies } from '../ops/peer.js';
import type { OwnKeys } from './own-keys.js';
import type { TokenBucket } from './rate.js';
import type { RedisSafety } from './redis-safety.js';
import type { SiteView } from './site-view.js';

/** What the endpoints of one gateway share. */
export interface GatewayContext {
  readonly siteGuid: Guid;
  /** Of this process: where replies to its jobs go. */
  readonly gatewayId: string;
  readonly store: SiteStore;
  readonly queue: SubmitQueue;
  readonly replies: ReplyBus;
  readonly nonces: NonceStore;
  readonly site: SiteView;
  readonly redisSafety: RedisSafety;
  /** In the order in which they are asked. */
  readonly authenticators: readonly Authenticator[];
  readonly proxies: Proxies;
  readonly limits: Limits;
  /** The token key, which signs site tokens, among them. */
  readonly ownKeys: OwnKeys;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly maxInFlight: number;
  /** Fires when the gateway goes down: waits end, nothing new is taken. */
  readonly drain: AbortSignal;
  /** For endpoints without authentication: what one gateway does for all of them together. */
  readonly strangers: { readonly registrations: TokenBucket; readonly nonces: TokenBucket };
}
