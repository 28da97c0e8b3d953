/**
 * The event ids of the original's servers (log MBAM-Web/Admin), where a failure here is one of theirs.
 * They stand in log lines as `mbamEventId`, beside our own `event`, for alarms that people already have.
 */
export const MBAM_EVENTS = {
  /** The administration service cannot use the recovery database. */
  AdminServiceRecoveryDbError: 100,
  /** The administration service cannot write the audit. */
  AdminServiceComplianceDbError: 101,
  /** The agent service (here: workers) cannot use the recovery database. */
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
