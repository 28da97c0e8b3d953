import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  loadConfig,
  readSqlServerUrl,
  SQLSERVER_LOGINS,
  sqlServerName,
  type SqlServerTarget,
} from '../../src/config/index.js';
import { isMpeError } from '../../src/ops/errors.js';
import { tempFolder } from '../support/temp.js';

const ID = '8637036e-b379-4798-bd9e-5a0b36296de3';

function targetOf(text: string): SqlServerTarget {
  const read = readSqlServerUrl(text);
  if ('problems' in read) throw new Error(read.problems.join('\n'));
  return read.target;
}

function problemsOf(text: string): readonly string[] {
  const read = readSqlServerUrl(text);
  if ('target' in read) throw new Error('the URL was accepted');
  return read.problems;
}

/** The refusal of a whole configuration; empty where it is accepted. */
function refusalOf(env: Record<string, string>): string {
  try {
    loadConfig(env);
    return '';
  } catch (error) {
    if (!isMpeError(error, 'CONFIG_INVALID')) throw error;
    return error.message;
  }
}

describe('mssql:// URLs', () => {
  test('the short form has safe defaults', () => {
    expect(targetOf('mssql://mpe@db.example/site')).toEqual({
      host: 'db.example',
      port: 1433,
      database: 'site',
      login: { kind: 'sql', user: 'mpe', clientId: null, tenantId: null, secret: null },
      encrypt: true,
      trustServerCertificate: false,
      serverName: null,
      caFile: null,
      multiSubnetFailover: false,
      connectTimeoutMs: 15_000,
      requestTimeoutMs: 30_000,
    });
  });

  test('every part is read, percent escapes undone', () => {
    const target = targetOf(
      'mssql://do%40main:p%40%3A%2F%3F%23%25%20%C3%A4@[::1]:14330/my%20site?encrypt=true&ca=%2Fetc%2Fca.pem&serverName=db.example&multiSubnetFailover=true&connectTimeout=100&requestTimeout=600000',
    );
    expect(target).toMatchObject({
      ...{ host: '::1', port: 14_330, database: 'my site', caFile: '/etc/ca.pem', serverName: 'db.example' },
      ...{ multiSubnetFailover: true, connectTimeoutMs: 100, requestTimeoutMs: 600_000 },
      login: { user: 'do@main', secret: 'p@:/?#% ä' },
    });
  });

  test('every login is read with what it needs', () => {
    const urls: Record<(typeof SQLSERVER_LOGINS)[number], string> = {
      sql: 'mssql://u:p@h/d?authentication=sql',
      'entra-default': `mssql://h/d?authentication=entra-default&clientId=${ID}`,
      'entra-password': `mssql://u@h/d?authentication=entra-password&clientId=${ID}&tenantId=contoso.com`,
      'entra-msi-vm': 'mssql://h/d?authentication=entra-msi-vm',
      'entra-msi-app-service': 'mssql://h/d?authentication=entra-msi-app-service',
      'entra-service-principal': `mssql://h/d?authentication=entra-service-principal&clientId=${ID}&tenantId=${ID}`,
      'entra-access-token': 'mssql://h/d?authentication=entra-access-token',
    };
    for (const kind of SQLSERVER_LOGINS) expect(targetOf(urls[kind]).login.kind).toBe(kind);
  });

  test.each([
    ['mssql://', /^must be mssql:/],
    ['postgres://h/d', /^must be mssql:/],
    ['mssql://u:p/ss@h/d', /^must be mssql:.*percent-encoded/],
    ['mssql://u:100%@h/d', /the password has a % that starts no valid escape/],
    ['mssql://u@h', /the path must be the name of one database/],
    ['mssql://u@h/', /the path must be the name of one database/],
    ['mssql://u@h/a/b', /the path must be the name of one database/],
    ['mssql://u@h/d#x', /nothing may follow a #/],
    ['mssql://u@h:0/d', /the port must be/],
    ['mssql://u@h_%20/d', /the host must be/],
    ['mssql://h/d', /authentication=sql needs a user/],
    ['mssql://u@h/d?encript=false', /encript is not known; known are .*encrypt/],
    ['mssql://u@h/d?encrypt=yes', /encrypt must be one of true, false/],
    ['mssql://u@h/d?encrypt=true&encrypt=false', /encrypt stands twice/],
    ['mssql://u@h/d?instanceName=X', /write the port of the instance/],
    ['mssql://u@h/d?applicationIntent=ReadOnly', /always needs the primary/],
    ['mssql://u@h/d?password=hunter2', /password is not offered.*MPE_STORE_PASSWORD_FILE/],
    ['mssql://u@h/d?connectTimeout=99', /connectTimeout must be a whole number .* from 100 to 120000/],
    ['mssql://u@h/d?requestTimeout=1e3', /requestTimeout must be a whole number/],
    ['mssql://u@h/d?ca=/x&trustServerCertificate=true', /contradict/],
    ['mssql://u@h/d?ca=/x&encrypt=false', /ca has no meaning/],
    ['mssql://u@h/d?authentication=ntlm', /authentication must be one of sql, entra-default/],
    ['mssql://u@h/d?authentication=entra-msi-vm', /takes no user/],
    ['mssql://h/d?authentication=entra-service-principal', /needs clientId and tenantId/],
    ['mssql://h/d?authentication=entra-default&encrypt=false', /needs encrypt=true/],
    [`mssql://u@h/d?clientId=${ID}`, /authentication=sql takes no clientId/],
  ])('%s is refused', (url, problem) => {
    expect(problemsOf(url).join('\n')).toMatch(problem);
  });

  test('every problem is told at once, none repeats a value', () => {
    const url = 'mssql://us3r:s3cret@h:0/?encrypt=s3cret&colour=s3cret&requestTimeout=s3cret&s3cret=1';
    const problems = problemsOf(url);
    expect(problems).toHaveLength(6);
    expect(problems.join('\n')).not.toMatch(/s3cret|us3r/);
    expect(refusalOf({ MPE_STORE_URL: url })).toMatch(/^ {2}MPE_STORE_URL .*; .*; .*; .*; .*; /m);
    expect(refusalOf({ MPE_STORE_URL: url })).not.toMatch(/s3cret|us3r/);
  });

  test('the name of a database holds neither user nor password', () => {
    expect(sqlServerName(targetOf('mssql://us3r:s3cret@[::1]:1/a%20b'))).toBe('mssql://[::1]:1/a%20b');
  });
});

describe('the secret', () => {
  const url = 'mssql://mpe@h/d';

  test('comes from the URL, the variable or its file', () => {
    const file = join(tempFolder('mpe-config-'), 'password');
    writeFileSync(file, 'from the file\n');
    const secretOf = (env: Record<string, string>): unknown => {
      const { store } = loadConfig(env);
      return store.kind === 'mssql' ? store.target.login.secret : undefined;
    };
    expect(secretOf({ MPE_STORE_URL: 'mssql://mpe:inline@h/d' })).toBe('inline');
    expect(secretOf({ MPE_STORE_URL: url, MPE_STORE_PASSWORD: 'variable' })).toBe('variable');
    expect(secretOf({ MPE_STORE_URL: url, MPE_STORE_PASSWORD_FILE: file })).toBe('from the file');
  });

  test('is needed or refused as the login demands, and given once', () => {
    expect(refusalOf({ MPE_STORE_URL: url })).toMatch(/needs a password; set MPE_STORE_PASSWORD or/);
    expect(refusalOf({ MPE_STORE_URL: 'mssql://h/d?authentication=entra-access-token' })).toMatch(
      /needs an access token/,
    );
    const managed = 'mssql://h/d?authentication=entra-msi-vm';
    expect(refusalOf({ MPE_STORE_URL: managed })).toBe('');
    expect(refusalOf({ MPE_STORE_URL: managed, MPE_STORE_PASSWORD: 'x' })).toMatch(/takes no password/);
    expect(refusalOf({ MPE_STORE_URL: 'mssql://mpe:inl1ne@h/d', MPE_STORE_PASSWORD: 'var1able' })).toMatch(
      /keep one of them/,
    );
  });

  test('does not stand in a refusal of other settings', () => {
    const refusal = refusalOf({ MPE_STORE_URL: 'mssql://mpe:s3cret@h/d', MPE_LOG_LEVEL: 'loud' });
    expect(refusal).toMatch(/MPE_LOG_LEVEL/);
    expect(refusal).not.toMatch(/s3cret/);
  });
});
