import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { assertTestSettings, clockOf, loadConfig, type Config } from '../../src/config/index.js';
import { SETTINGS } from '../../src/config/settings.js';
import { MpeError } from '../../src/ops/errors.js';
import { tempFolder } from '../support/temp.js';

/** The lines of a refusal, without the heading. */
function problemsOf(env: Record<string, string>): string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (!(error instanceof MpeError)) throw error;
    expect(error.code).toBe('CONFIG_INVALID');
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  throw new Error('the configuration was accepted');
}

describe('an empty environment', () => {
  test('gives every default, absolute paths, nothing that can be changed', () => {
    const config = loadConfig({});
    expect(config.home).toBe(resolve('mpe-data'));
    expect(config.store).toEqual({ kind: 'sqlite', path: resolve('mpe-data/site.db') });
    expect(config.keysDir).toBe(resolve('mpe-data/keys'));
    expect(config.redis).toEqual({ url: 'redis://127.0.0.1:6379', allowUnsafe: false });
    expect(config.gateway.listen).toEqual({ host: '0.0.0.0', port: 8443 });
    expect(config.worker.opsListen).toBeNull();
    expect(config.outcomeRetentionDays).toBe(90);
    expect(() => {
      (config.gateway.listen as { port: number }).port = 1;
    }).toThrow(TypeError);
  });

  test('every default of the table is accepted by its own form', () => {
    for (const [name, { fallback, form }] of Object.entries(SETTINGS)) {
      if (fallback !== null) expect(form.schema.safeParse(fallback).success, name).toBe(true);
    }
  });

  test('a variable that is empty counts as not set', () => {
    expect(loadConfig({ MPE_LOG_LEVEL: '', MPE_HOME: '' }).logLevel).toBe('info');
  });

  test('variables of others are nobody’s business', () => {
    expect(() => loadConfig({ HOME: '/x', MPEG: '1', mpe_x: '2' })).not.toThrow();
  });
});

describe('values', () => {
  const understood: readonly (readonly [string, string, (c: Config) => unknown, unknown])[] = [
    ['MPE_GATEWAY_LISTEN', '127.0.0.1:0', (c) => c.gateway.listen, { host: '127.0.0.1', port: 0 }],
    ['MPE_GATEWAY_LISTEN', '[::1]:8443', (c) => c.gateway.listen, { host: '::1', port: 8443 }],
    ['MPE_GATEWAY_OPS_LISTEN', 'off', (c) => c.gateway.opsListen, null],
    ['MPE_WORKER_OPS_LISTEN', 'localhost:9', (c) => c.worker.opsListen, { host: 'localhost', port: 9 }],
    ['MPE_GATEWAY_TLS', 'off', (c) => c.gateway.tls, false],
    ['MPE_REDIS_URL', 'unix:///run/redis.sock', (c) => c.redis.url, 'unix:///run/redis.sock'],
    ['MPE_REDIS_URL', 'unix://u:p@localhost/r.sock', (c) => c.redis.url, 'unix://u:p@localhost/r.sock'],
    ['MPE_REDIS_ALLOW_UNSAFE', '1', (c) => c.redis.allowUnsafe, true],
    ['MPE_STORE_URL', 'sqlite:/a/b.db', (c) => c.store, { kind: 'sqlite', path: '/a/b.db' }],
    ['MPE_STORE_URL', 'mssql://sa:x@h/db', (c) => c.store.kind, 'mssql'],
    ['MPE_TEST_CLOCK_OFFSET', '+5y', (c) => c.test.clockOffsetMs, 5 * 365 * 86_400_000],
    ['MPE_TEST_CLOCK_OFFSET', '-10m', (c) => c.test.clockOffsetMs, -600_000],
    ['MPE_TEST_CLOCK_OFFSET', '-0s', (c) => c.test.clockOffsetMs, 0],
    [
      'MPE_TEST_POISON',
      '8637036E-B379-4798-BD9E-5A0B36296DE3',
      (c) => c.test.poison,
      ['8637036e-b379-4798-bd9e-5a0b36296de3'],
    ],
  ];
  test.each(understood)('%s=%s is understood', (name, value, read, expected) => {
    expect(read(loadConfig({ [name]: value }))).toEqual(expected);
  });

  test.each([
    ['MPE_QUEUE_HIGH_WATER', ['0', '-1', '1e3', '1.5', ' 7', '10000001', '0x10', '99999999999999999999']],
    ['MPE_OUTCOME_RETENTION_DAYS', ['29', 'ninety']],
    ['MPE_GATEWAY_LISTEN', ['8443', ':8443', 'host:', 'host:65536', '::1:8443', 'off']],
    ['MPE_GATEWAY_OPS_LISTEN', ['no', 'host']],
    ['MPE_GATEWAY_TLS', ['1', 'true', 'ON']],
    ['MPE_REDIS_URL', ['127.0.0.1:6379', 'http://x', 'redis://', 'unix://run/redis.sock', 'unix://']],
    ['MPE_REDIS_ALLOW_UNSAFE', ['yes', '2']],
    ['MPE_STORE_URL', ['postgres://x', 'sqlite:', 'sqlite::memory:', 'sqlite:///a', 'mssql://', 'file.db']],
    ['MPE_LOG_LEVEL', ['verbose', 'INFO']],
    ['MPE_GATEWAY_ID', ['a b', 'x'.repeat(65), 'a:b']],
    ['MPE_TEST_CLOCK_OFFSET', ['5y', '+5', '+101y', '+5w', '+-5y', '+5y ']],
    ['MPE_TEST_POISON', ['abc', '8637036e-b379-4798-bd9e-5a0b36296de3,']],
    ['MPE_TEST_SQLSERVER_URL', ['sqlite:/x', 'x']],
  ])('%s refuses bad values, naming itself and what it accepts, never the value', (name, values) => {
    for (const value of values) {
      const [problem, ...more] = problemsOf({ [name]: value });
      expect(more, value).toEqual([]);
      expect(problem).toMatch(new RegExp(`^${name} must be `));
    }
  });

  test('a refused URL does not show its password', () => {
    const [problem] = problemsOf({ MPE_REDIS_URL: 'redi://user:hunter2@host' });
    expect(problem).not.toContain('hunter2');
  });
});

describe('problems', () => {
  test('the audience of access tokens is not the client id: ID tokens name that one', () => {
    const env = { MPE_RECOVERY_OIDC_CLIENT_ID: 'portal', MPE_RECOVERY_OIDC_AUDIENCE: 'portal' };
    expect(problemsOf(env)).toEqual([expect.stringContaining('audience of its own')]);
    expect(loadConfig({ ...env, MPE_RECOVERY_OIDC_AUDIENCE: 'api' }).recovery.service.oidc).toBeNull();
  });

  test('are all listed at once, one a line, in one error', () => {
    expect(
      problemsOf({
        MPE_GATEWAY_TLS: 'maybe',
        MPE_QUEUE_LOCK_MS: '1',
        MPE_REDIS_URL: 'x',
        MPE_WORKER_GROUP_MAX: 'many',
        MPE_NONSENSE_OF_ALL_KINDS: '1',
      }),
    ).toEqual([
      'MPE_NONSENSE_OF_ALL_KINDS is no setting',
      expect.stringMatching(/^MPE_REDIS_URL must be redis:/),
      'MPE_QUEUE_LOCK_MS must be a whole number of milliseconds from 500 to 600000',
      'MPE_GATEWAY_TLS must be "on" or "off"',
      'MPE_WORKER_GROUP_MAX must be a whole number of messages from 1 to 1000',
    ]);
  });

  test.each([
    ['MPE_HOEM', 'MPE_HOME'],
    ['MPE_REDIS', 'MPE_REDIS_URL'],
    ['MPE_WORKER_GROUPMAX', 'MPE_WORKER_GROUP_MAX'],
    ['MPE_KEY_DIR', 'MPE_KEYS_DIR'],
    ['MPE_REDIS_URL_FIEL', 'MPE_REDIS_URL_FILE'],
  ])('an unknown name %s is answered with the nearest: %s', (wrong, meant) => {
    const [problem] = problemsOf({ [wrong]: 'x' });
    expect(problem).toBe(`${wrong} is no setting; did you mean ${meant}?`);
  });
});

describe('a setting by file', () => {
  test('is read from it, without the line end', () => {
    const file = join(tempFolder(), 'redis');
    writeFileSync(file, 'redis://:secret@host:6379\n');
    expect(loadConfig({ MPE_REDIS_URL_FILE: file }).redis.url).toBe('redis://:secret@host:6379');
  });

  test('is refused beside the variable itself, when it cannot be read, and where no secret belongs', () => {
    expect(problemsOf({ MPE_REDIS_URL_FILE: '/x', MPE_REDIS_URL: 'redis://h' })).toEqual([
      'MPE_REDIS_URL and MPE_REDIS_URL_FILE are both set; keep one of them',
    ]);
    expect(problemsOf({ MPE_STORE_URL_FILE: '/nonexistent/file' })).toEqual([
      'MPE_STORE_URL_FILE names a file that cannot be read (ENOENT)',
    ]);
    expect(problemsOf({ MPE_LOG_LEVEL_FILE: '/x' })[0]).toMatch(/^MPE_LOG_LEVEL_FILE is no setting/);
  });
});

describe('settings of test sites', () => {
  test('are refused anywhere else, each by name', () => {
    const config = loadConfig({
      MPE_TEST_CLOCK_OFFSET: '+5y',
      MPE_TEST_POISON: '8637036e-b379-4798-bd9e-5a0b36296de3',
    });
    expect(() => assertTestSettings(config, false)).toThrow(/MPE_TEST_CLOCK_OFFSET and MPE_TEST_POISON/);
    expect(() => clockOf(config, false)).toThrow(/--test-site/);
    expect(() => assertTestSettings(config, true)).not.toThrow();
    expect(() => assertTestSettings(loadConfig({}), false)).not.toThrow();
  });

  test('shift the clock', () => {
    const shifted = clockOf(loadConfig({ MPE_TEST_CLOCK_OFFSET: '+5y' }), true).now();
    expect(Math.round((shifted - Date.now()) / 86_400_000)).toBe(5 * 365);
  });
});
