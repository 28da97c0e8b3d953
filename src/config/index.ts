export {
  loadConfig,
  type Config,
  type Environment,
  type Listen,
  type LogLevel,
  type StoreSetting,
} from './config.js';
export { assertTestSettings, clockOf } from './test-settings.js';
export type { EntraSettings, GatewayChannels, GatewayLimits } from './channels.js';
export type { AddressRange } from './gateway-forms.js';
export type { ChannelMethod } from './settings.js';
export {
  readSqlServerUrl,
  SQLSERVER_LOGINS,
  sqlServerName,
  type SqlServerLogin,
  type SqlServerLoginKind,
  type SqlServerTarget,
} from './sqlserver-url.js';
