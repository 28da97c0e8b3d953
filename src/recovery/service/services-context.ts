import type { Clock } from '../../ops/clock.js';
import type { Logger } from '../../ops/log.js';
import type { SiteStore } from '../../store/site-store.js';
import type { DisclosureContext } from '../disclosure/disclose.js';

/** What the services stand on. */
export interface ServicesContext {
  readonly store: SiteStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** For showing keys, and for writing the audit. */
  readonly disclosure: DisclosureContext;
}
