import type { Command } from 'commander';
import { clockOf, loadConfig, type Config } from '../config/index.js';
import { verifySiteDocument } from '../jose/site-document.js';
import { MpeError } from '../ops/errors.js';
import type { Guid } from '../protocol/guid.js';
import { documentExpiry, expiringHere, expiryNotice, type Expiring } from '../secrets/expiring.js';
import { readPresent, type Present, type QueueDepth } from '../queue/index.js';
import type { SiteCounts, SiteRow } from '../store/site-store.js';
import { print, printJson } from './output.js';
import { withRedisQueue } from './with-queue.js';
import { requireSite, withStore } from './with-store.js';

/** `mpe status`: one look at everything. Exit 0 ok, 1 degraded, 2 down. */
export function register(program: Command): void {
  program
    .command('status')
    .description('one look at database, Redis, gateway and workers; exit 0 ok, 1 degraded, 2 down')
    .option('--json', 'print it as JSON', false)
    .action(run);
}

/** A part that was looked at. */
type Seen<T> = ({ readonly ok: true } & T) | { readonly ok: false; readonly problem: string };

interface Status {
  readonly state: 'ok' | 'degraded' | 'down';
  readonly problems: readonly string[];
  readonly database: Seen<{
    readonly site: SiteRow;
    readonly counts: SiteCounts;
    readonly durability: string;
    readonly certificate: boolean;
    readonly siteDocument: { readonly version: number; readonly expiresAtMs: number };
    /** Site document, and the certificates that lie on this host. */
    readonly expiring: readonly Expiring[];
    /** Registrations that wait for an operator, counted up to a bound. */
    readonly pending: number;
  }>;
  readonly redis: Seen<{ readonly depth: QueueDepth; readonly present: readonly Present[] }>;
  readonly gateway: Seen<{ readonly url: string }>;
}

/** Oldest waiting message from which on the site counts as degraded. */
const OLD_MS = 60_000;
/** Share of a bound from which on it is told. */
const NEARLY = 0.8;
const GATEWAY_BOUND_MS = 3000;
/** Waiting registrations are counted so far. */
const PENDING_COUNTED = 1000;

async function run(options: { readonly json: boolean }): Promise<void> {
  const config = loadConfig();
  const status = await look(config);
  if (options.json) printJson(status);
  else print(...lines(status));
  process.exitCode = { ok: 0, degraded: 1, down: 2 }[status.state];
}

async function look(config: Config): Promise<Status> {
  const [database, gateway] = await Promise.all([lookAtDatabase(config), lookAtGateway(config)]);
  // Redis' keys carry the site, which only the database names.
  const redis: Status['redis'] = database.ok
    ? await lookAtRedis(config, database.site.siteGuid)
    : { ok: false, problem: 'not looked at: without the database the site is not known' };
  return { ...judge(config, database, redis, gateway), database, redis, gateway };
}

async function seen<T>(work: () => Promise<T>): Promise<Seen<T>> {
  try {
    return { ok: true, ...(await work()) };
  } catch (error) {
    return { ok: false, problem: error instanceof Error ? error.message : 'failed' };
  }
}

function lookAtDatabase(config: Config): Promise<Status['database']> {
  return seen(() =>
    withStore(
      config,
      async (store) => {
        const site = await requireSite(store);
        const { jws } = await store.readSiteDocument();
        const document = await verifySiteDocument(jws, site.rootThumbprint);
        const { detail } = await store.durability();
        const certificate = document.certificateThumbprint !== null;
        const { version, expiresAtMs } = document;
        const siteDocument = { version, expiresAtMs };
        const pending = (await store.readPendingRegistrations(PENDING_COUNTED)).length;
        const here = expiringHere(config.keysDir, document.certificateThumbprint);
        const expiring = [documentExpiry(document), ...here];
        const seen = { site, durability: detail, certificate, siteDocument, expiring, pending };
        return { ...seen, counts: await store.counts() };
      },
      { readOnly: true },
    ),
  );
}

function lookAtRedis(config: Config, siteGuid: Guid): Promise<Status['redis']> {
  return seen(() =>
    withRedisQueue(config, siteGuid, async (queue) => {
      if (!(await queue.writable())) throw new MpeError('QUEUE_UNAVAILABLE', 'Redis takes no writes');
      return { depth: await queue.depth(), present: await readPresent(queue.redis, siteGuid) };
    }),
  );
}

function lookAtGateway(config: Config): Promise<Status['gateway']> {
  return seen(async () => {
    const listen = config.gateway.opsListen;
    if (listen === null) throw new Error('MPE_GATEWAY_OPS_LISTEN is off');
    if (listen.port === 0) throw new Error('MPE_GATEWAY_OPS_LISTEN has port 0: its port is not known here');
    const host = ['0.0.0.0', '::'].includes(listen.host) ? '127.0.0.1' : listen.host;
    const url = `http://${host.includes(':') ? `[${host}]` : host}:${listen.port}`;
    let response: Response;
    try {
      response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(GATEWAY_BOUND_MS) });
    } catch {
      throw new Error(`does not answer at ${url}`);
    }
    if (!response.ok) throw new Error(`not ready at ${url}: ${(await response.text()).trim()}`);
    return { url };
  });
}

function judge(
  config: Config,
  database: Status['database'],
  redis: Status['redis'],
  gateway: Status['gateway'],
): Pick<Status, 'state' | 'problems'> {
  const down: string[] = [];
  const degraded: string[] = [];
  if (!database.ok) down.push(`database: ${database.problem}`);
  if (!redis.ok) down.push(`Redis: ${redis.problem}`);
  const workers = redis.ok ? redis.present.filter((one) => one.role === 'worker').length : 0;
  if (redis.ok && workers === 0) (gateway.ok ? degraded : down).push('no worker is running');
  if (!gateway.ok) degraded.push(`gateway: ${gateway.problem}`);
  if (redis.ok) {
    const { depth } = redis;
    if (depth.oldestWaitingMs > OLD_MS)
      degraded.push(`the oldest message waits for ${Math.round(depth.oldestWaitingMs / 1000)} s`);
    if (depth.waiting + depth.delayed > config.queue.highWater * NEARLY)
      degraded.push('the queue is nearly at its high-water mark');
  }
  if (database.ok) {
    const { counts, certificate, expiring } = database;
    if (counts.damagedSecrets > 0) degraded.push(`${counts.damagedSecrets} stored secrets cannot be read`);
    if (counts.quarantined > config.quarantineMax * NEARLY) degraded.push('quarantine is nearly full');
    const nowMs = clockOf(config, database.site.testSite).now();
    for (const one of expiring) {
      const notice = expiryNotice(one, nowMs);
      if (notice !== null) degraded.push(notice.text);
    }
    if (!certificate) degraded.push('keys are stored in PLAIN TEXT');
  }
  const state = down.length > 0 ? 'down' : degraded.length > 0 ? 'degraded' : 'ok';
  return { state, problems: [...down, ...degraded] };
}

function lines({ state, problems, database, redis, gateway }: Status): string[] {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  return [
    database.ok
      ? `site        ${database.site.name} ${database.site.siteGuid}${database.site.testSite ? ' (TEST SITE)' : ''}`
      : 'site        not known',
    `database    ${database.ok ? `ok  ${database.durability}` : 'DOWN'}`,
    redis.ok
      ? `queue       waiting ${redis.depth.waiting}  active ${redis.depth.active}  delayed ${redis.depth.delayed}  failed ${redis.depth.failed}  oldest ${seconds(redis.depth.oldestWaitingMs)}`
      : 'queue       DOWN',
    `gateway     ${gateway.ok ? `ready  ${gateway.url}` : 'not ready'}`,
    redis.ok ? `workers     ${workersText(redis.present)}` : 'workers     not known',
    ...(database.ok
      ? [
          `clients ${database.counts.clients}  pending ${pendingText(database.pending)}  keys ${database.counts.keys}  outcomes ${database.counts.outcomes}`,
          `quarantine ${database.counts.quarantined}  dead ${database.counts.deadLetters}  undecryptable ${database.counts.damagedSecrets}/${database.counts.secrets}`,
          `expires     ${database.expiring.map(endText).join('  ')}`,
        ]
      : []),
    '',
    state.toUpperCase(),
    ...problems.map((problem) => `  ${problem}`),
  ];
}

const THINGS = {
  site_document: 'site document',
  certificate: 'certificate',
  gateway_tls: 'gateway TLS',
  recovery_tls: 'recovery TLS',
} as const;

function endText({ thing, expiresAtMs }: Expiring): string {
  return `${THINGS[thing]} ${new Date(expiresAtMs).toISOString().slice(0, 10)}`;
}

/** They wait for an operator: mpe clients pending. */
function pendingText(pending: number): string {
  return pending < PENDING_COUNTED ? String(pending) : `${PENDING_COUNTED} or more`;
}

function workersText(present: readonly Present[]): string {
  const workers = present.filter((one) => one.role === 'worker');
  const slots = workers.reduce((sum, one) => sum + one.concurrency, 0);
  return `${workers.length} ${workers.length === 1 ? 'process' : 'processes'}, ${slots} messages at a time`;
}
