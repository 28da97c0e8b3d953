/**
 * The URL of a SQL Server database:
 * `mssql://[user[:password]@]host[:port]/database[?parameter=value&…]`.
 *
 * Strict: an unknown parameter or a value out of its range is refused, and every problem is told at
 * once. No problem repeats a value, for the URL may hold a password.
 */

/** How mpe logs in to SQL Server: a login of the server, or Microsoft Entra ID. */
export const SQLSERVER_LOGINS = [
  'sql',
  'entra-default',
  'entra-password',
  'entra-msi-vm',
  'entra-msi-app-service',
  'entra-service-principal',
  'entra-access-token',
] as const;
export type SqlServerLoginKind = (typeof SQLSERVER_LOGINS)[number];

/** A login; `secret` is its password, client secret or access token. */
export interface SqlServerLogin {
  readonly kind: SqlServerLoginKind;
  readonly user: string | null;
  readonly clientId: string | null;
  readonly tenantId: string | null;
  readonly secret: string | null;
}

/** A SQL Server database, as an `mssql://` URL names it. */
export interface SqlServerTarget {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly login: SqlServerLogin;
  /** TLS; off only towards a test server on the same host. */
  readonly encrypt: boolean;
  readonly trustServerCertificate: boolean;
  /** The name that the server's certificate carries, where it is not `host`. */
  readonly serverName: string | null;
  /** PEM file with the CAs that may have signed the server's certificate. */
  readonly caFile: string | null;
  readonly multiSubnetFailover: boolean;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

/** What each login needs of the URL, and whether it takes a secret. */
const LOGIN_NEEDS: Readonly<
  Record<
    SqlServerLoginKind,
    { readonly user: boolean; readonly ids: 'both' | 'client' | 'none'; secret: boolean }
  >
> = {
  sql: { user: true, ids: 'none', secret: true },
  'entra-default': { user: false, ids: 'client', secret: false },
  'entra-password': { user: true, ids: 'both', secret: true },
  'entra-msi-vm': { user: false, ids: 'client', secret: false },
  'entra-msi-app-service': { user: false, ids: 'client', secret: false },
  'entra-service-principal': { user: false, ids: 'both', secret: true },
  'entra-access-token': { user: false, ids: 'none', secret: true },
};

const DEFAULT_PORT = 1433;
const PARAMETERS = [
  'authentication',
  'clientId',
  'tenantId',
  'encrypt',
  'trustServerCertificate',
  'serverName',
  'ca',
  'multiSubnetFailover',
  'connectTimeout',
  'requestTimeout',
] as const;

/** Parameters that other programs know, with what to do instead. */
const NOT_OFFERED: Readonly<Record<string, string>> = {
  instance: 'named instances are not looked up; write the port of the instance behind the host',
  instanceName: 'named instances are not looked up; write the port of the instance behind the host',
  applicationIntent: 'mpe always needs the primary replica; leave it out',
  password: 'write it before the host, or better set MPE_STORE_PASSWORD or MPE_STORE_PASSWORD_FILE',
  user: 'write it before the host',
  database: 'write it as the path',
};

/** Reads the URL: the target, or everything that is wrong with it. */
export function readSqlServerUrl(
  text: string,
): { readonly target: SqlServerTarget } | { readonly problems: readonly string[] } {
  const url = parse(text);
  if (url === null) return { problems: [FORM] };
  const problems: string[] = [];
  const part = (name: string, encoded: string): string | null => {
    const value = decode(encoded);
    if (value === null) problems.push(`the ${name} has a % that starts no valid escape (write %25 for %)`);
    return value === '' ? null : value;
  };
  const parameters = new Parameters(url.searchParams, problems);
  const login = {
    kind: parameters.word('authentication', SQLSERVER_LOGINS, 'sql'),
    user: part('user', url.username),
    clientId: parameters.text('clientId', GUID, 'a GUID'),
    tenantId: parameters.text('tenantId', TENANT, 'a GUID or a domain name'),
    secret: part('password', url.password),
  };
  const target: SqlServerTarget = {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    database: part('database', url.pathname.slice(1)) ?? '',
    login,
    encrypt: parameters.flag('encrypt', true),
    trustServerCertificate: parameters.flag('trustServerCertificate', false),
    serverName: parameters.text('serverName', HOST, 'a host name'),
    caFile: parameters.text('ca', /^[^\0]{1,1024}$/, 'the path of a PEM file'),
    multiSubnetFailover: parameters.flag('multiSubnetFailover', false),
    connectTimeoutMs: parameters.milliseconds('connectTimeout', 100, 120_000, 15_000),
    requestTimeoutMs: parameters.milliseconds('requestTimeout', 100, 600_000, 30_000),
  };
  problems.push(...placeProblems(url, target), ...loginProblems(target), ...tlsProblems(target));
  return problems.length > 0 ? { problems } : { target };
}

/** What is wrong with the secret of a target, once the URL and MPE_STORE_PASSWORD are put together. */
export function secretProblem(target: SqlServerTarget): string | null {
  const { kind, secret } = target.login;
  const takes = LOGIN_NEEDS[kind].secret;
  if (takes && secret === null) {
    return `MPE_STORE_URL: authentication=${kind} needs ${secretName(kind)}; set MPE_STORE_PASSWORD or MPE_STORE_PASSWORD_FILE`;
  }
  return !takes && secret !== null
    ? `MPE_STORE_URL: authentication=${kind} takes no password; remove it and MPE_STORE_PASSWORD`
    : null;
}

/** The database in words that can stand in logs and errors: no user, no password. */
export function sqlServerName(target: SqlServerTarget): string {
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  return `mssql://${host}:${target.port}/${encodeURIComponent(target.database)}`;
}

const FORM =
  'must be mssql://[user[:password]@]host[:port]/database[?parameter=value]; in the user and the password write @ : / ? # and % percent-encoded (%40 %3A %2F %3F %23 %25)';
const HOST = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const TENANT = /^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$/;

function parse(text: string): URL | null {
  if (!text.startsWith('mssql://')) return null;
  try {
    const url = new URL(text);
    return url.hostname === '' ? null : url;
  } catch {
    return null;
  }
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function secretName(kind: SqlServerLoginKind): string {
  if (kind === 'entra-service-principal') return 'a client secret';
  return kind === 'entra-access-token' ? 'an access token' : 'a password';
}

function* placeProblems(url: URL, target: SqlServerTarget): Generator<string> {
  if (!HOST.test(target.host) && !/^\[[0-9A-Fa-f:.]{2,45}\]$/.test(url.hostname)) {
    yield 'the host must be a name, an IPv4 address or an IPv6 address in brackets';
  }
  if (target.port < 1) yield 'the port must be from 1 to 65535';

  if (!/^[^\u0000-\u001f/]{1,128}$/.test(target.database)) {
    yield 'the path must be the name of one database, 1 to 128 characters';
  }
  if (url.hash !== '') yield 'nothing may follow a #; write a # as %23';
}

function* loginProblems({ login, encrypt }: SqlServerTarget): Generator<string> {
  const needs = LOGIN_NEEDS[login.kind];
  const given = `authentication=${login.kind}`;
  if (needs.user && login.user === null) yield `${given} needs a user before the host`;
  if (!needs.user && login.user !== null) yield `${given} takes no user before the host`;
  if (needs.ids === 'both' && (login.clientId === null || login.tenantId === null)) {
    yield `${given} needs clientId and tenantId`;
  }
  if (needs.ids !== 'both' && login.tenantId !== null) yield `${given} takes no tenantId`;
  if (needs.ids === 'none' && login.clientId !== null) yield `${given} takes no clientId`;
  if (login.kind !== 'sql' && !encrypt) yield `${given} sends a token and needs encrypt=true`;
}

function* tlsProblems(target: SqlServerTarget): Generator<string> {
  if (target.caFile !== null && target.trustServerCertificate) {
    yield 'ca and trustServerCertificate=true contradict each other; keep ca';
  }
  if (!target.encrypt && target.caFile !== null) yield 'ca has no meaning with encrypt=false';
}

/** The parameters behind the `?`: each once, each known. */
class Parameters {
  readonly #values = new Map<string, string>();
  readonly #problems: string[];

  constructor(given: URLSearchParams, problems: string[]) {
    this.#problems = problems;
    for (const [name, value] of given) {
      const shown = /^[A-Za-z]{1,40}$/.test(name) ? name : 'a parameter';
      if (name in NOT_OFFERED) problems.push(`${shown} is not offered: ${NOT_OFFERED[name] ?? ''}`);
      else if (!(PARAMETERS as readonly string[]).includes(name)) {
        problems.push(`${shown} is not known; known are ${PARAMETERS.join(', ')}`);
      } else if (this.#values.has(name)) problems.push(`${shown} stands twice`);
      else this.#values.set(name, value);
    }
  }

  flag(name: (typeof PARAMETERS)[number], fallback: boolean): boolean {
    return this.word(name, ['true', 'false'], fallback ? 'true' : 'false') === 'true';
  }

  word<W extends string>(name: (typeof PARAMETERS)[number], words: readonly W[], fallback: W): W {
    const value = this.#values.get(name);
    if (value === undefined) return fallback;
    const known = words.find((word) => word === value);
    if (known === undefined) this.#problems.push(`${name} must be one of ${words.join(', ')}`);
    return known ?? fallback;
  }

  text(name: (typeof PARAMETERS)[number], form: RegExp, accepts: string): string | null {
    const value = this.#values.get(name);
    if (value === undefined) return null;
    if (!form.test(value)) this.#problems.push(`${name} must be ${accepts}`);
    return value;
  }

  milliseconds(name: (typeof PARAMETERS)[number], min: number, max: number, fallback: number): number {
    const value = this.#values.get(name);
    if (value === undefined) return fallback;
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= min && number <= max) return number;
    this.#problems.push(`${name} must be a whole number of milliseconds from ${min} to ${max}`);
    return fallback;
  }
}
