import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { z } from 'zod';
import { MpeError } from '../ops/errors.js';
import { auditOf, type AuditSettings } from './audit-settings.js';
import { channelProblems, entraOf, type GatewayChannels, type GatewayLimits } from './channels.js';
import type { Listen } from './forms.js';
import type { AddressRange } from './gateway-forms.js';
import { nearest } from './nearest.js';
import { recoveryServiceOf, type RecoveryServiceSettings } from './recovery-settings.js';
import { secretProblem, type SqlServerTarget } from './sqlserver-url.js';
import { SETTINGS, type LogLevel, type RegistrationWay, type Setting, type SettingName } from './settings.js';

export type { Listen } from './forms.js';
export type { LogLevel } from './settings.js';

/** Where the site database is, and how many connections a process opens to it at most. */
export type StoreSetting =
  | { readonly kind: 'sqlite'; readonly path: string }
  | {
      readonly kind: 'mssql';
      readonly target: SqlServerTarget;
      /** Absent: what the process works on at once. */
      readonly poolMax?: number;
    };

/** What registers a client, and how many may wait for an operator. */
export interface RegistrationSettings {
  readonly ways: readonly RegistrationWay[];
  readonly pendingMax: number;
}

/** The configuration of a process: read once, frozen. Durations are milliseconds, paths absolute. */
export interface Config {
  readonly home: string;
  readonly store: StoreSetting;
  readonly keysDir: string;
  readonly redis: { readonly url: string; readonly allowUnsafe: boolean };
  readonly queue: { readonly highWater: number; readonly lockMs: number; readonly stalledMs: number };
  readonly gateway: {
    readonly id: string;
    readonly listen: Listen;
    /** null: off. */
    readonly opsListen: Listen | null;
    readonly tls: boolean;
    readonly maxInFlight: number;
    readonly maxConnections: number;
    /** Of one address. */
    readonly maxConnectionsPerAddress: number;
    readonly proxies: readonly AddressRange[];
    readonly limits: GatewayLimits;
    readonly channels: GatewayChannels;
  };
  readonly worker: {
    readonly opsListen: Listen | null;
    readonly groupMax: number;
    readonly drainMs: number;
    readonly concurrency: number;
    readonly processes: number;
  };
  readonly registration: RegistrationSettings;
  readonly recovery: {
    readonly opsListen: Listen | null;
    readonly canaryMs: number;
    readonly canarySample: number;
    /** How often rotations are looked at. */
    readonly rotationMs: number;
    /** After which an exposed key that is not replaced is overdue. */
    readonly rotationDeadlineMs: number;
    /** The portals and the API. */
    readonly service: RecoveryServiceSettings;
  };
  /** Disclosure and audit. */
  readonly audit: AuditSettings;
  readonly quarantineMax: number;
  readonly deadLetterMax: number;
  readonly outcomeRetentionDays: number;
  readonly logLevel: LogLevel;
  readonly test: {
    readonly clockOffsetMs: number;
    /** Message ids in canonical form. */
    readonly poison: readonly string[];
    /** The server of the store's tests. */
    readonly sqlServer: SqlServerTarget | null;
  };
  readonly clientHome: string;
  /** What the reference client shows instead of a site token; null: nothing. */
  readonly clientChannel: {
    readonly certificate: string | null;
    readonly certificateKey: string | null;
    readonly deviceToken: string | null;
  };
}

/** The environment as a process has it. */
export type Environment = Readonly<Record<string, string | undefined>>;

const NAMES = Object.keys(SETTINGS) as SettingName[];
const FILE_NAMES = NAMES.filter((name) => (SETTINGS[name] as Setting<unknown>).byFile).map(
  (n) => `${n}_FILE`,
);

type ValueOf<N extends SettingName> = z.output<(typeof SETTINGS)[N]['form']['schema']>;

/**
 * Reads the configuration from `MPE_*` variables. An empty variable counts as not set.
 *
 * @throws MpeError CONFIG_INVALID that lists every problem at once, one a line: the variable, what
 *   is wrong, what it accepts. It repeats no value, for a URL may hold a password.
 */
export function loadConfig(env: Environment = process.env): Config {
  const problems: string[] = [];
  for (const name of Object.keys(env).sort()) {
    if (!name.startsWith('MPE_') || name in SETTINGS || FILE_NAMES.includes(name)) continue;
    const meant = nearest(name, [...NAMES, ...FILE_NAMES]);
    problems.push(`${name} is no setting${meant === undefined ? '' : `; did you mean ${meant}?`}`);
  }

  const read = <N extends SettingName>(name: N): ValueOf<N> | null => {
    const definition = SETTINGS[name] as Setting<ValueOf<N>>;
    const text = textOf(name, env, problems) ?? definition.fallback;
    if (text === null) return null;
    const parsed = definition.form.schema.safeParse(text);
    if (parsed.success) return parsed.data;
    problems.push(`${name} ${parsed.error.issues.map((issue) => issue.message).join('; ')}`);
    return null;
  };
  // A value with a problem is replaced by the default, so that the rest can be read; it is thrown below.
  const need = <N extends SettingName>(name: N): ValueOf<N> => {
    const value = read(name);
    if (value !== null) return value;
    const definition = SETTINGS[name] as Setting<ValueOf<N>>;
    return definition.form.schema.parse(definition.fallback ?? '');
  };

  const home = resolve(read('MPE_HOME') ?? '.');
  const store = read('MPE_STORE_URL') ?? { kind: 'sqlite', path: join(home, 'site.db') };
  const testServer = read('MPE_TEST_SQLSERVER_URL');
  if (testServer?.kind === 'sqlite') problems.push('MPE_TEST_SQLSERVER_URL must be an mssql:// URL');
  const storePassword = read('MPE_STORE_PASSWORD');
  const poolMax = read('MPE_STORE_POOL_MAX');
  const config: Config = {
    home,
    store:
      store.kind === 'sqlite'
        ? { kind: 'sqlite', path: resolve(store.path) }
        : {
            kind: 'mssql',
            target: withPassword(store.target, storePassword, problems),
            ...(poolMax === null ? {} : { poolMax }),
          },
    keysDir: resolve(read('MPE_KEYS_DIR') ?? join(home, 'keys')),
    redis: { url: need('MPE_REDIS_URL'), allowUnsafe: need('MPE_REDIS_ALLOW_UNSAFE') },
    queue: {
      highWater: need('MPE_QUEUE_HIGH_WATER'),
      lockMs: need('MPE_QUEUE_LOCK_MS'),
      stalledMs: need('MPE_QUEUE_STALLED_MS'),
    },
    gateway: {
      id: read('MPE_GATEWAY_ID') ?? defaultGatewayId(),
      listen: need('MPE_GATEWAY_LISTEN'),
      opsListen: read('MPE_GATEWAY_OPS_LISTEN'),
      tls: need('MPE_GATEWAY_TLS'),
      maxInFlight: need('MPE_GATEWAY_MAX_IN_FLIGHT'),
      maxConnections: need('MPE_GATEWAY_MAX_CONNECTIONS'),
      maxConnectionsPerAddress: need('MPE_GATEWAY_CONNECTIONS_PER_ADDRESS'),
      proxies: read('MPE_GATEWAY_PROXIES') ?? [],
      limits: {
        client: read('MPE_GATEWAY_LIMIT_CLIENT'),
        address: read('MPE_GATEWAY_LIMIT_ADDRESS'),
        registration: read('MPE_GATEWAY_LIMIT_REGISTRATION'),
      },
      channels: {
        methods: need('MPE_GATEWAY_AUTH'),
        clientCa: (read('MPE_GATEWAY_CLIENT_CA') ?? []).map((file) => resolve(file)),
        clientCrl: (read('MPE_GATEWAY_CLIENT_CRL') ?? []).map((file) => resolve(file)),
        crlFailure: need('MPE_GATEWAY_CLIENT_CRL_FAILURE'),
        entra: entraOf({
          tenant: read('MPE_GATEWAY_ENTRA_TENANT'),
          audience: read('MPE_GATEWAY_ENTRA_AUDIENCE'),
          issuer: read('MPE_GATEWAY_ENTRA_ISSUER'),
          keysUrl: read('MPE_GATEWAY_ENTRA_KEYS_URL'),
          ca: read('MPE_GATEWAY_ENTRA_CA'),
        }),
      },
    },
    worker: {
      opsListen: read('MPE_WORKER_OPS_LISTEN'),
      groupMax: need('MPE_WORKER_GROUP_MAX'),
      drainMs: need('MPE_WORKER_DRAIN_MS'),
      concurrency: need('MPE_WORKER_CONCURRENCY'),
      processes: need('MPE_WORKER_PROCESSES'),
    },
    registration: { ways: need('MPE_REGISTRATION'), pendingMax: need('MPE_REGISTRATION_PENDING_MAX') },
    recovery: {
      opsListen: read('MPE_RECOVERY_OPS_LISTEN'),
      canaryMs: 1000 * need('MPE_RECOVERY_CANARY_SECONDS'),
      canarySample: need('MPE_RECOVERY_CANARY_SAMPLE'),
      rotationMs: 1000 * need('MPE_RECOVERY_ROTATION_SECONDS'),
      rotationDeadlineMs: 3_600_000 * need('MPE_RECOVERY_ROTATION_DEADLINE_HOURS'),
      service: recoveryServiceOf(read, need, problems),
    },
    audit: auditOf(read, need, home, problems),
    quarantineMax: need('MPE_QUARANTINE_MAX'),
    deadLetterMax: need('MPE_DEAD_LETTER_MAX'),
    outcomeRetentionDays: need('MPE_OUTCOME_RETENTION_DAYS'),
    logLevel: need('MPE_LOG_LEVEL'),
    test: {
      clockOffsetMs: need('MPE_TEST_CLOCK_OFFSET'),
      poison: read('MPE_TEST_POISON') ?? [],
      sqlServer: testServer?.kind === 'mssql' ? testServer.target : null,
    },
    clientHome: resolve(read('MPE_CLIENT_HOME') ?? '.'),
    clientChannel: {
      certificate: read('MPE_CLIENT_CERTIFICATE'),
      certificateKey: read('MPE_CLIENT_CERTIFICATE_KEY'),
      deviceToken: read('MPE_CLIENT_DEVICE_TOKEN'),
    },
  };
  problems.push(...channelProblems(config));
  if (problems.length > 0) {
    throw new MpeError(
      'CONFIG_INVALID',
      ['the configuration has problems; set these variables right and start again:']
        .concat(problems.map((problem) => `  ${problem}`))
        .join('\n'),
      { facts: { problems: problems.length } },
    );
  }
  return deepFreeze(config);
}

/** A target with the secret of MPE_STORE_PASSWORD, where the URL has none. */
function withPassword(target: SqlServerTarget, password: string | null, problems: string[]): SqlServerTarget {
  if (password !== null && target.login.secret !== null) {
    problems.push('MPE_STORE_URL holds a password and MPE_STORE_PASSWORD is set; keep one of them');
    return target;
  }
  const complete = { ...target, login: { ...target.login, secret: target.login.secret ?? password } };
  const problem = secretProblem(complete);
  if (problem !== null) problems.push(problem);
  return complete;
}

/** The text of a setting: from its variable, or from the file that `NAME_FILE` names. */
function textOf(name: SettingName, env: Environment, problems: string[]): string | null {
  const direct = env[name] ?? '';
  const file = FILE_NAMES.includes(`${name}_FILE`) ? (env[`${name}_FILE`] ?? '') : '';
  if (file === '') return direct === '' ? null : direct;
  if (direct !== '') {
    problems.push(`${name} and ${name}_FILE are both set; keep one of them`);
    return null;
  }
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'an error';
    problems.push(`${name}_FILE names a file that cannot be read (${code})`);
    return null;
  }
}

function defaultGatewayId(): string {
  const host = hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, '-')
    .slice(0, 48);
  return `${host === '' ? 'gateway' : host}-${process.pid}`;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
