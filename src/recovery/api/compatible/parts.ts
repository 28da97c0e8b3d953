import type { SiteStore } from '../../../store/site-store.js';
import type { AuditContext } from '../../audit/record.js';

/** What compatible interfaces need beside the services. */
export interface CompatibleParts {
  readonly store: Pick<SiteStore, 'search'>;
  readonly audit: AuditContext;
}
