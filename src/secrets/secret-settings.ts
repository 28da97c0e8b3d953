import { statSync, type Stats } from 'node:fs';
import { resolve } from 'node:path';
import { SETTINGS, type Setting } from '../config/settings.js';
import { judge, type FileState } from './inventory.js';

/** A setting that holds or names something secret, and is set. */
export interface SecretSetting {
  /** e.g. `MPE_STORE_PASSWORD_FILE`. */
  readonly name: string;
  readonly what: string;
  /** null: the value stands in the environment itself. */
  readonly file: string | null;
  readonly state: Exclude<FileState, 'not here' | 'unexpected'> | 'in the environment';
  readonly mode: string | null;
  readonly owner: number | null;
}

/** Files that are named by a setting of their own. */
const NAMED: Readonly<Record<string, string>> = {
  MPE_RECOVERY_TLS_KEY: 'private key of the portals’ TLS certificate',
  MPE_AUDIT_SYSLOG_KEY: 'private key of the certificate that the syslog collector sees',
  MPE_CLIENT_CERTIFICATE_KEY: 'private key of the reference client',
  MPE_CLIENT_DEVICE_TOKEN: 'device token of the reference client',
};

/** `//user:password@`. */
const PASSWORD_IN_URL = /\/\/[^/?#@]*:[^/?#@]+@/;

/**
 * The secret settings of an environment: files that hold them, with their modes, and values that stand in
 * the environment itself. Never a value.
 */
export function secretSettings(env: Readonly<Record<string, string | undefined>>): readonly SecretSetting[] {
  const found: SecretSetting[] = [];
  for (const [name, definition] of Object.entries(SETTINGS) as [string, Setting<unknown>][]) {
    const value = env[name] ?? '';
    const named = NAMED[name];
    if (named !== undefined && value !== '') found.push(lookAt(name, named, value));
    if (definition.byFile !== true) continue;
    const file = env[`${name}_FILE`] ?? '';
    if (file !== '') found.push(lookAt(`${name}_FILE`, definition.about, file));
    // What a file may hold instead is secret, but for URLs, of which some hold a password.
    if (value !== '' && (!name.endsWith('_URL') || PASSWORD_IN_URL.test(value)))
      found.push({
        ...{ name, what: definition.about, file: null, state: 'in the environment' },
        ...{ mode: null, owner: null },
      });
  }
  return found;
}

function lookAt(name: string, what: string, path: string): SecretSetting {
  const file = resolve(path);
  let stat: Stats;
  try {
    stat = statSync(file);
  } catch {
    return { name, what, file, state: 'missing', mode: null, owner: null };
  }
  const { state, mode, owner } = judge(stat, true, null);
  if (state === 'not here' || state === 'unexpected') return { name, what, file, state: 'ok', mode, owner };
  return { name, what, file, state, mode, owner };
}
