import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SETTINGS } from '../../src/config/settings.js';
import type { Setting } from '../../src/config/setting.js';
import { secretSettings } from '../../src/secrets/secret-settings.js';
import { tempFolder } from '../support/temp.js';

const all = Object.entries(SETTINGS) as [string, Setting<unknown>][];
const mayBeSecret = all.filter(([, { byFile }]) => byFile === true).map(([name]) => name);
/** Files that hold a private key. */
const keys = all.map(([name]) => name).filter((name) => name.endsWith('_KEY'));

test('every setting that can hold a secret is listed, in the environment and as a file; no value is', () => {
  expect(mayBeSecret.length).toBeGreaterThanOrEqual(5);
  const file = join(tempFolder(), 'secret');
  writeFileSync(file, 'hunter2', { mode: 0o600 });
  for (const name of mayBeSecret) {
    const value = name.endsWith('_URL') ? 'x://user:hunter2@host/' : 'hunter2';
    const found = secretSettings({ [name]: value });
    expect(found).toMatchObject([{ name, state: 'in the environment', file: null }]);
    expect(JSON.stringify(found)).not.toContain('hunter2');
    expect(secretSettings({ [`${name}_FILE`]: file })).toMatchObject([{ name: `${name}_FILE`, state: 'ok' }]);
  }
  expect(secretSettings({ MPE_REDIS_URL: 'redis://host:6379' })).toEqual([]);
});

test('every private key that a setting names is listed, with its mode', () => {
  expect(keys).toEqual(
    expect.arrayContaining(['MPE_RECOVERY_TLS_KEY', 'MPE_AUDIT_SYSLOG_KEY', 'MPE_CLIENT_CERTIFICATE_KEY']),
  );
  const file = join(tempFolder(), 'key.pem');
  writeFileSync(file, 'x', { mode: 0o600 });
  for (const name of keys) expect(secretSettings({ [name]: file })).toMatchObject([{ name, state: 'ok' }]);
  chmodSync(file, 0o644);
  for (const name of keys)
    expect(secretSettings({ [name]: file })).toMatchObject([{ name, state: 'open to others' }]);
});
