import { isMpeError } from '../../ops/errors.js';
import type { CallSource } from '../services.js';

/**
 * The event ids of the original's servers (log MBAM-Web/Admin), where a failure here is one of theirs.
 * They stand in log lines as `mbamEvent`, beside our own `event`, for alarms that people already have.
 */
export const MBAM_EVENTS = {
  /** The administration service cannot use the recovery database. */
  AdminServiceRecoveryDbError: 100,
  /** The administration service cannot write the audit. */
  AdminServiceComplianceDbError: 101,
  /** The agent service cannot use the recovery database. */
  AgentServiceRecoveryDbError: 102,
  /** The agent service failed. */
  AgentServiceError: 103,
  HelpdeskError: 106,
  SelfServicePortalError: 107,
  /** What people are known by (there a domain controller, here the OpenID provider) does not answer. */
  DomainControllerError: 108,
  /** A portal cannot use the recovery database. */
  WebAppRecoveryDbError: 109,
  /** A portal cannot write the audit. */
  WebAppComplianceDbError: 110,
  /** A portal finds a database that it cannot work with. */
  WebAppDbError: 111,
  WebAppError: 112,
} as const;

/** The id for a failure of a request. */
export function mbamEventOf(source: CallSource, error: unknown): number {
  const isPage = source === 'Helpdesk' || source === 'Self-Service Portal';
  if (isMpeError(error, 'STORE_TRANSIENT') || isMpeError(error, 'STORE_FAILED')) {
    return isPage ? MBAM_EVENTS.WebAppRecoveryDbError : MBAM_EVENTS.AdminServiceRecoveryDbError;
  }
  if ((error as { code?: unknown }).code === 'AUDIT_UNAVAILABLE') {
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
