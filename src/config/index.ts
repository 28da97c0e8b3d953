export {
  loadConfig,
  type Config,
  type Environment,
  type Listen,
  type LogLevel,
  type RegistrationSettings,
  type StoreSetting,
} from './config.js';
export { assertTestSettings, clockOf } from './test-settings.js';
export type { EntraSettings, GatewayChannels, GatewayLimits } from './channels.js';
export type { AuditSettings } from './audit-settings.js';
export type { OidcSettings, RecoveryServiceSettings } from './recovery-settings.js';
export { ROLE_NAMES, type GroupRoles, type RoleName } from './recovery-forms.js';
export type { AddressRange } from './gateway-forms.js';
export type { ChannelMethod, RegistrationWay } from './settings.js';
export {
  readSqlServerUrl,
  SQLSERVER_LOGINS,
  sqlServerName,
  type SqlServerLogin,
  type SqlServerLoginKind,
  type SqlServerTarget,
} from './sqlserver-url.js';
