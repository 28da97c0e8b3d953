import type { Config } from '../../config/index.js';
import type { Clock } from '../../ops/clock.js';
import type { Logger } from '../../ops/log.js';
import type { SiteStore } from '../../store/site-store.js';
import type { RecoverySite } from '../open-site.js';
import { ownRows } from '../own-rows.js';
import type { DisclosureContext } from './disclose.js';

/** What {@link disclose} works with on a host that holds the certificate. */
export function disclosureContext(
  config: Pick<Config, 'audit' | 'recovery'>,
  site: Pick<RecoverySite, 'keys' | 'keeper' | 'document' | 'fingerprintKey'>,
  parts: {
    readonly store: SiteStore;
    readonly clock: Clock;
    readonly log: Logger;
    readonly onRow?: () => void;
  },
): DisclosureContext {
  const { keys, keeper, document } = site;
  const { siteGuid, certificateThumbprint: thumbprint } = document;
  return {
    ...parts,
    keys: {
      open: (identity, content) => keys.open(identity, content),
      refresh: async () => {
        keys.useRows(ownRows(await parts.store.readDataKeys(), { siteGuid, thumbprint, keeper }));
      },
    },
    fingerprintKey: site.fingerprintKey,
    limits: config.audit.limits,
    rotationDeadlineMs: config.recovery.rotationDeadlineMs,
  };
}
