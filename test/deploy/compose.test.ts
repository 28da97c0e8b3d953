import { execFile } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadConfig, type Config } from '../../src/config/index.js';
import { SETTINGS, type Setting } from '../../src/config/settings.js';
import { KEY_FILES } from '../../src/secrets/key-files.js';
import { MAIN, ROOT } from '../support/engine-process.js';
import { tempFolder } from '../support/temp.js';
import { DEPLOY, makeSecrets, millisecondsOf, readCompose, withDefaults, type Mount } from './support.js';

const run = promisify(execFile);
const compose = readCompose();
const { services } = compose;
/** Services that run our image. */
const OURS = ['migrate', 'gateway', 'worker', 'recovery', 'admin'] as const;
/** Those of them that stay. */
const STAYING = ['gateway', 'worker', 'recovery'] as const;
const secrets = tempFolder('mpe-secrets-');
/** Where checkpoints of the audit are kept. */
const AUDIT = '/audit';

/** The configuration that a service starts with, its secret files made by make-secrets.sh. */
function configOf(name: (typeof OURS)[number]): Config {
  const environment = Object.entries(services[name]?.environment ?? {})
    .filter(([variable]) => variable.startsWith('MPE_'))
    .map(([variable, value]) => [variable, withDefaults(value).replaceAll('/run/secrets/', `${secrets}/`)]);
  return loadConfig(Object.fromEntries(environment) as Record<string, string>);
}

const mountsOf = (name: string): Mount[] =>
  (services[name]?.volumes ?? []).filter((mount): mount is Mount => typeof mount !== 'string');

beforeAll(() => makeSecrets(secrets));

describe('every service of compose.yaml', () => {
  test('is one of these, and our image runs what its role needs', () => {
    expect(Object.keys(services).sort()).toEqual(
      ['sqlserver', 'redis', 'logins', ...OURS].sort((a, b) => (a < b ? -1 : 1)),
    );
    expect(services['worker']?.deploy?.replicas).toBe(2);
    expect(services['admin']?.profiles).toEqual(['admin']);
  });

  test.each(OURS)('%s: the command is there and takes these options', async (name) => {
    const [command = '', ...options] = services[name]?.command ?? [];
    const { stdout } = await run(process.execPath, [MAIN, command, '--help']);
    expect(stdout).toMatch(new RegExp(`^Usage: mpe ${command}\\b`));
    for (const option of options) expect(stdout).toContain(option);
  });

  test.each(OURS)('%s: its settings exist, parse, and say what the page promises', (name) => {
    const config = configOf(name);
    const target = config.store;
    expect(target.kind).toBe('mssql');
    expect(config.keysDir).toBe('/keys');
    for (const variable of Object.keys(services[name]?.environment ?? {}))
      if (variable.startsWith('MPE_')) expect(SETTINGS).toHaveProperty([variable.replace(/_FILE$/, '')]);
  });

  test('each has a login, and a Redis user, of its own', () => {
    const urls = OURS.map((name) => services[name]?.environment?.['MPE_STORE_URL'] ?? '');
    expect(urls.map((url) => new URL(url).username)).toEqual(OURS.map((name) => `mpe-${name}`));
    const redis = (['gateway', 'worker', 'admin'] as const).map((name) => new URL(configOf(name).redis.url));
    expect(redis.map((url) => url.username)).toEqual(['mpe-gateway', 'mpe-worker', 'mpe-admin']);
    expect(new Set(redis.map((url) => url.password)).size).toBe(3);
  });

  test('runs without rights that it does not need', () => {
    for (const [name, service] of Object.entries(services)) {
      expect(service.security_opt, name).toEqual(['no-new-privileges:true']);
      expect(service.user, name).toMatch(/^[1-9]\d*:\d+$/);
      expect(service.networks, name).toContain('site');
      // SQL Server writes in many places of its own image.
      if (name === 'sqlserver') continue;
      expect(service.read_only, name).toBe(true);
      expect(service.cap_drop, name).toEqual(['ALL']);
    }
  });

  test('only the gateway can be reached from outside', () => {
    expect(compose.networks['site']).toEqual({ internal: true });
    const published = Object.entries(services).filter(([, service]) => service.ports !== undefined);
    expect(published.map(([name]) => name)).toEqual(['gateway']);
    const outside = Object.entries(services).filter(([, service]) => service.networks.includes('clients'));
    expect(outside.map(([name]) => name)).toEqual(['gateway']);
  });
});

describe('starting and stopping', () => {
  test('waits for what it needs', () => {
    const migrate = { condition: 'service_completed_successfully' };
    for (const name of ['gateway', 'worker'])
      expect(services[name]?.depends_on, name).toEqual({ migrate, redis: { condition: 'service_healthy' } });
    expect(services['recovery']?.depends_on).toEqual({ migrate });
    expect(services['migrate']?.depends_on).toEqual({
      logins: { condition: 'service_completed_successfully' },
    });
    expect(services['logins']?.depends_on).toEqual({ sqlserver: { condition: 'service_healthy' } });
    for (const [name, service] of Object.entries(services))
      for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect(services, name).toHaveProperty(other);
        if (condition === 'service_healthy') expect(services[other]?.healthcheck, other).toBeDefined();
      }
  });

  test('leaves a process its drain and ten seconds', () => {
    for (const name of STAYING) {
      const { drainMs } = configOf(name).worker;
      expect(millisecondsOf(services[name]?.stop_grace_period), name).toBeGreaterThanOrEqual(
        drainMs + 10_000,
      );
    }
  });

  test('starts again what stays, and once what ends', () => {
    for (const name of [...STAYING, 'sqlserver', 'redis'])
      expect(services[name]?.restart, name).toBe('unless-stopped');
    for (const name of ['logins', 'migrate', 'admin']) expect(services[name]?.restart, name).toBe('no');
  });

  test('asks each on the port where it answers', () => {
    const { gateway, worker, recovery } = services;
    const ports = [
      configOf('gateway').gateway.opsListen,
      configOf('worker').worker.opsListen,
      configOf('recovery').recovery.opsListen,
    ].map((listen) => String(listen?.port));
    const asked = [gateway, worker, recovery].map((service) => service?.healthcheck?.test);
    expect(asked).toEqual(ports.map((port) => ['CMD', 'node', '/app/ready.mjs', port]));
    expect(configOf('admin').gateway.opsListen).toEqual({ host: 'gateway', port: Number(ports[0]) });
  });

  test('keeps what Redis accepted', () => {
    const line = (services['redis']?.command ?? []).join(' ');
    expect(line).toContain('--appendonly yes --appendfsync always');
    expect(line).toContain('--maxmemory-policy noeviction');
    expect(line).toMatch(/--maxmemory \S+/);
    expect(services['redis']?.volumes).toEqual(['redis-data:/data']);
  });
});

describe('logins', () => {
  const sql = readFileSync(join(DEPLOY, 'sqlserver/create-logins.sql'), 'utf8');
  const roles = readFileSync(join(ROOT, 'src/store/mssql/roles.sql'), 'utf8');

  test('each that a URL names is made, with the password of its secret', () => {
    const script = readFileSync(join(DEPLOY, 'sqlserver/create-logins.sh'), 'utf8');
    for (const name of OURS) {
      expect(sql).toContain(`CREATE USER [mpe-${name}] FOR LOGIN [mpe-${name}];`);
      const variable = /CREATE LOGIN \[mpe-NAME\] WITH PASSWORD = '\$\((\w+)\)'/.source.replace('NAME', name);
      const password = new RegExp(variable).exec(sql)?.[1] ?? 'none';
      expect(script).toContain(`${password}=$(secret sqlserver_${name}_password)`);
      expect(services['logins']?.secrets).toContain(`sqlserver_${name}_password`);
    }
  });

  test('each is in its role, and only what migrates owns the database', () => {
    const members = [...sql.matchAll(/ALTER ROLE (\w+) ADD MEMBER \[([\w-]+)\]/g)];
    expect(members.map(([, role, user]) => `${user ?? ''} ${role ?? ''}`).sort()).toEqual([
      'mpe-admin mpe_operator',
      'mpe-gateway mpe_gateway',
      'mpe-migrate db_owner',
      'mpe-recovery mpe_recovery',
      'mpe-worker mpe_worker',
    ]);
    for (const role of ['mpe_gateway', 'mpe_worker', 'mpe_recovery', 'mpe_operator']) {
      const make = `IF DATABASE_PRINCIPAL_ID('${role}') IS NULL CREATE ROLE ${role};`;
      expect(sql).toContain(make);
      expect(roles).toContain(make);
    }
  });
});

describe('secrets and keys', () => {
  test('every secret is a file that make-secrets.sh makes, and no service has one it does not use', () => {
    for (const [name, { file }] of Object.entries(compose.secrets)) {
      expect(withDefaults(file)).toBe(`./secrets/${name}`);
      expect(existsSync(join(secrets, name)), name).toBe(true);
      if (name !== 'sqlserver_tls_certificate')
        expect(statSync(join(secrets, name)).mode & 0o007, name).toBe(0);
    }
    for (const [name, service] of Object.entries(services))
      for (const secret of service.secrets ?? [])
        expect(compose.secrets, `${name} names ${secret}`).toHaveProperty(secret);
    for (const name of OURS) {
      const named = Object.values(services[name]?.environment ?? {}).flatMap((value) =>
        [...value.matchAll(/\/run\/secrets\/(\w+)/g)].map((match) => match[1] ?? ''),
      );
      expect([...new Set(named)].sort(), name).toEqual([...(services[name]?.secrets ?? [])].sort());
    }
  });

  test('no password stands in a file of deploy/, and what may be one comes from a file', () => {
    const text = readFileSync(join(DEPLOY, 'compose.yaml'), 'utf8');
    for (const [, credentials] of text.matchAll(/\w+:\/\/([^@\s/]+)@/g))
      expect(credentials).not.toContain(':');
    for (const service of Object.values(services))
      for (const [variable, value] of Object.entries(service.environment ?? {})) {
        if (/PASSWORD|SECRET|TOKEN/.test(variable)) expect(variable).toMatch(/^MPE_\w+_FILE$/);
        const definition = (SETTINGS as Record<string, Setting<unknown>>)[variable];
        if (definition?.byFile === true) expect(new URL(value).password, variable).toBe('');
      }
  });

  test('each host gets what its role needs of the key folder, read-only', () => {
    const roles = { gateway: 'gateway', worker: 'worker', recovery: 'recovery' } as const;
    for (const [name, folder] of Object.entries(roles)) {
      const mounts = mountsOf(name).filter((mount) => mount.target !== AUDIT);
      expect(mounts.map((mount) => mount.target).sort(), name).toEqual([
        ...[`/keys/${folder}`, `/keys/${KEY_FILES.site}`].sort(),
      ]);
      for (const mount of mounts) {
        expect(mount).toMatchObject({ type: 'bind', read_only: true, bind: { create_host_path: false } });
        expect(withDefaults(mount.source)).toBe(`.${mount.target}`);
      }
    }
    expect(mountsOf('migrate')).toEqual([]);
  });

  test('where an image cannot be written to, what a process writes has a place of its own', () => {
    for (const name of ['recovery', 'admin'] as const) {
      const [mount, ...more] = mountsOf(name).filter(({ target }) => target === AUDIT);
      expect(more).toEqual([]);
      expect(mount, name).toEqual({
        ...{ type: 'bind', source: '${MPE_AUDIT:-./audit}', target: AUDIT },
        bind: { create_host_path: false },
      });
      expect(dirname(configOf(name).audit.checkpoints.path)).toBe(AUDIT);
    }
    for (const name of STAYING) {
      const { audit } = configOf(name);
      // Only the recovery service signs checkpoints.
      if (name !== 'recovery') expect(dirname(audit.checkpoints.path)).not.toBe(AUDIT);
    }
  });

  test('a second run of make-secrets.sh changes nothing', () => {
    const contents = (): string[] =>
      [...Object.keys(compose.secrets)].map((name) => readFileSync(join(secrets, name), 'latin1'));
    const before = contents();
    makeSecrets(secrets);
    expect(contents()).toEqual(before);
  });
});

describe('compose.portals.yaml', () => {
  const portals = readCompose('compose.portals.yaml');
  const added = portals.services['recovery'];

  test('adds the portals to the recovery service, and nothing else', () => {
    expect(Object.keys(portals.services)).toEqual(['recovery']);
    expect(added?.networks).toEqual(['clients']);
    expect(added?.ports).toEqual(['${MPE_RECOVERY_PORT:-8444}:8444']);
    for (const [name, { file }] of Object.entries(portals.secrets)) {
      expect(added?.secrets).toContain(name);
      expect(withDefaults(file)).toBe(`./secrets/${name}`);
    }
  });

  test('gives the service what it needs to answer people', () => {
    const url = 'https://recovery.example.org:8444';
    const environment = { ...services['recovery']?.environment, ...added?.environment };
    const files = Object.values(added?.environment ?? {}).filter((value) =>
      value.startsWith('/run/secrets/'),
    );
    expect(files.map((file) => file.replace('/run/secrets/', '')).sort()).toEqual(
      Object.keys(portals.secrets).sort(),
    );
    const { service } = loadConfig(
      Object.fromEntries(
        Object.entries(environment)
          .filter(([variable]) => variable.startsWith('MPE_'))
          .map(([variable, value]) => [
            variable,
            withDefaults(value.replace(/^\$\{MPE_RECOVERY_URL:\?.*\}$/, url)).replaceAll(
              '/run/secrets/sqlserver',
              `${secrets}/sqlserver`,
            ),
          ]),
      ),
    ).recovery;
    expect(service).toMatchObject({ listen: { host: '0.0.0.0', port: 8444 } });
    expect(JSON.stringify(service)).toContain(url);
  });
});

test('the image is built from files that are there, and carries no development package', () => {
  const lines = readFileSync(join(DEPLOY, 'Dockerfile'), 'utf8').split('\n');
  const ignored = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n');
  const copied = lines
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from'))
    .flatMap((line) => line.split(/\s+/).slice(1, -1));
  for (const path of copied) {
    expect(existsSync(join(ROOT, path)), path).toBe(true);
    expect(ignored).toContain(`!${path}`);
  }
  const text = lines.join('\n');
  expect(text).toMatch(/npm prune --omit=dev/);
  expect(text).toMatch(/^USER 10002:10002$/m);
  expect(text.match(/^FROM .*/gm)).toEqual(['FROM node:22-slim AS build', 'FROM node:22-slim']);
});
