import { isMpeError } from '../../ops/errors.js';
import { MBAM_EVENTS } from '../../ops/mbam-events.js';
import type { CallSource } from '../services.js';

/** The id for a failure of a request. */
export function mbamEventOf(source: CallSource, error: unknown): number {
  const isPage = source === 'Helpdesk' || source === 'Self-Service Portal';
  if (isMpeError(error, 'STORE_TRANSIENT') || isMpeError(error, 'STORE_FAILED')) {
    return isPage ? MBAM_EVENTS.WebAppRecoveryDbError : MBAM_EVENTS.AdminServiceRecoveryDbError;
  }
  if ((error as { readonly code?: unknown }).code === 'AUDIT_UNAVAILABLE') {
    return isPage ? MBAM_EVENTS.WebAppComplianceDbError : MBAM_EVENTS.AdminServiceComplianceDbError;
  }
  if (isMpeError(error, 'SCHEMA_MISMATCH')) return MBAM_EVENTS.WebAppDbError;
  switch (source) {
    case 'Helpdesk':
      return MBAM_EVENTS.HelpdeskError;
    case 'Self-Service Portal':
      return MBAM_EVENTS.SelfServicePortalError;
    case 'Recovery API':
    case 'AdminService':
    case 'MBAM':
      return MBAM_EVENTS.WebAppError;
  }
}
