export {
  loadConfig,
  type Config,
  type Environment,
  type Listen,
  type LogLevel,
  type StoreSetting,
} from './config.js';
export { assertTestSettings, clockOf } from './test-settings.js';
