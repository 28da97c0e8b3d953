import { policiesFor } from '../store/policies-for.js';
import type { ClientRow } from '../store/site-store.js';
import { gatesFor, type Gates, type MessageChannel } from './gates.js';
import type { SiteContext } from './site-context.js';

/**
 * The gates of a client as the site is now. Its tag came with the row that its signature was
 * verified by, so that no further statement is needed.
 *
 * @param channel how the message came; without a relay every one comes over the intranet
 */
export function clientGates(
  site: Pick<SiteContext, 'current' | 'mayStore'>,
  client: ClientRow,
  channel: MessageChannel = 'INTRANET',
): Gates {
  const tag = client.tag ?? '';
  return gatesFor({
    policies: policiesFor(site.current.policies, { tag }),
    tag,
    siteVersion: site.current.site.siteVersion,
    mayStore: site.mayStore,
    channel,
    joinType: client.joinType,
  });
}
