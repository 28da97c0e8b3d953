import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Listen } from '../../config/index.js';
import { isMpeError } from '../../ops/errors.js';
import { KEY_FILES } from '../../secrets/key-files.js';
import type { DoctorContext } from './context.js';
import { skew } from './database-checks.js';
import { failure, ok, reasonOf, warning, type Check, type Verdict } from './finding.js';
import { expiry } from './host-checks.js';

const CONNECT_MS = 3000;
/** Oldest waiting message from which on something is wrong. */
const OLD_MS = 60_000;

/** Checks of Redis and of the processes. */
export function serviceChecks(context: DoctorContext): readonly Check[] {
  const fix = 'start Redis, or check MPE_REDIS_URL';
  return [
    { name: 'redis', fix, run: () => ofRedis(() => redis(context)) },
    {
      name: 'redis clock',
      fix,
      run: () => ofRedis(async () => [skew('Redis', (await context.redis()).aheadMs)]),
    },
    { name: 'workers', fix, run: () => ofRedis(() => workers(context)) },
    { name: 'gateway', fix: 'start "mpe gateway"', run: () => gateway(context) },
    { name: 'recovery service', fix: 'start "mpe recovery"', run: () => recovery(context) },
  ];
}

/** Without a site nothing was asked of Redis, which may be well. */
async function ofRedis(look: () => Promise<readonly Verdict[]>): Promise<readonly Verdict[]> {
  try {
    return await look();
  } catch (error) {
    if (!isMpeError(error, 'SITE_MISMATCH')) throw error;
    return [failure(error.message, 'see the checks "key folder" and "database"')];
  }
}

async function redis(context: DoctorContext): Promise<readonly Verdict[]> {
  const { writable, unsafe, depth } = await context.redis();
  const { allowUnsafe } = context.config.redis;
  const { highWater } = context.config.queue;
  const verdicts: Verdict[] = [];
  if (!writable)
    verdicts.push(
      failure('Redis takes no writes', 'is it full, or a replica? make room, or start the master'),
    );
  for (const line of unsafe) {
    const fix = allowUnsafe
      ? 'set it right; MPE_REDIS_ALLOW_UNSAFE lets it pass'
      : 'set it right, in redis.conf too';
    verdicts.push((allowUnsafe ? warning : failure)(line, fix));
  }
  if (depth.waiting + depth.delayed > highWater * 0.8)
    verdicts.push(
      warning(
        `${depth.waiting + depth.delayed} messages wait, of ${highWater} at most`,
        'start more workers',
      ),
    );
  if (depth.oldestWaitingMs > OLD_MS) {
    const text = `the oldest message waits for ${Math.round(depth.oldestWaitingMs / 1000)} s`;
    verdicts.push(warning(text, 'start workers, or more of them'));
  }
  if (verdicts.length > 0) return verdicts;
  return [
    ok(`writable, synced before each answer, no eviction; ${depth.waiting} waiting, ${depth.active} active`),
  ];
}

async function workers(context: DoctorContext): Promise<readonly Verdict[]> {
  const found = (await context.redis()).present.filter(({ role }) => role === 'worker');
  if (found.length === 0)
    return [failure('no worker runs: messages wait, nothing is lost', 'start "mpe worker" (or "mpe up")')];
  const slots = found.reduce((sum, one) => sum + one.concurrency, 0);
  return [ok(`${found.length} running, ${slots} messages at a time`)];
}

async function gateway(context: DoctorContext): Promise<readonly Verdict[]> {
  const { listen, tls, opsListen } = context.config.gateway;
  if (!context.parts.includes('gateway'))
    return [ok('none on this host: it has no gateway/; run "mpe doctor" where one is')];
  const verdicts = [
    await port(context, listen, tls),
    await ready('the gateway', opsListen, 'see its log; start "mpe gateway"'),
  ];
  return verdicts.flatMap((verdict) => verdict ?? []);
}

async function recovery(context: DoctorContext): Promise<readonly Verdict[]> {
  if (!context.parts.includes('recovery')) return [ok('none on this host: it has no recovery/')];
  const fix = 'start "mpe recovery"; where it runs, its log says what it watches';
  const verdict = await ready('the recovery service', context.config.recovery.opsListen, fix);
  return [verdict ?? ok('MPE_RECOVERY_OPS_LISTEN is off or has port 0: not looked at')];
}

/** Where a client would connect; with the certificate that it would see. */
async function port(context: DoctorContext, listen: Listen, tls: boolean): Promise<Verdict | null> {
  if (listen.port === 0) return ok('MPE_GATEWAY_LISTEN has port 0: not known here, not looked at');
  const host = local(listen.host);
  const where = `${host}:${listen.port}`;
  const fix = 'start "mpe gateway", or check MPE_GATEWAY_LISTEN';
  const { keysDir } = context.config;
  const ca = join(keysDir, KEY_FILES.gatewayCa);
  const seen = await new Promise<Verdict>((resolve) => {
    const socket = tls
      ? connectTls({
          ...{ host, port: listen.port, servername: 'localhost', rejectUnauthorized: false },
          ...(existsSync(ca) ? { ca: readFileSync(ca) } : {}),
        })
      : connectPlain({ host, port: listen.port });
    const end = (verdict: Verdict): void => {
      socket.destroy();
      resolve(verdict);
    };
    socket.setTimeout(CONNECT_MS, () => end(failure(`nothing answers at ${where}`, fix)));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      end(failure(`nothing answers at ${where} (${error.code ?? reasonOf(error)})`, fix)),
    );
    socket.once(tls ? 'secureConnect' : 'connect', () => {
      if (!('authorized' in socket)) {
        end(ok(`answers at ${where}, without TLS`));
        return;
      }
      const until = Date.parse(socket.getPeerCertificate().valid_to);
      if (socket.authorized)
        end(
          expiry(
            `answers at ${where}: its certificate`,
            until,
            Date.now(),
            'renew it where ca/ is: mpe gateway-keys renew-tls',
          ),
        );
      else {
        const why = socket.authorizationError as Error | string;
        end(
          failure(
            `${where} shows a certificate that is not of this site (${typeof why === 'string' ? why : why.message})`,
            'does another program listen there, or has the gateway older keys? start it again with this key folder',
          ),
        );
      }
    });
  });
  return seen;
}

/** Readiness of a process on this host; null where its port is not known. */
async function ready(what: string, listen: Listen | null, fix: string): Promise<Verdict | null> {
  if (listen === null || listen.port === 0) return null;
  const host = local(listen.host);
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${listen.port}/readyz`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(CONNECT_MS) });
    if (response.ok) return ok(`${what} is ready at ${url}`);
    return failure(`${what} is not ready: ${(await response.text()).trim()}`, fix);
  } catch {
    return failure(`${what} does not answer at ${url}`, fix);
  }
}

function local(host: string): string {
  return ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host;
}
