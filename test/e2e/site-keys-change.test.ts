import { once } from 'node:events';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FleetReport } from '../support/fleet.js';
import { prepare, runUndisturbed } from '../chaos/campaign.js';
import { createLogger } from '../../src/ops/log.js';
import { SubmitQueue } from '../../src/queue/index.js';
import { unwrapRetiredKey } from '../../src/secrets/archive-key.js';
import { FileKeeper } from '../../src/secrets/certificate-keeper.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import { copyWithModes } from '../support/copy-folder.js';
import { Engine } from '../support/engine.js';
import { EngineProcess } from '../support/engine-process.js';
import { Fleet } from '../support/fleet.js';
import { auditSite, openSite, siteHashOf } from '../support/site-audit.js';
import { tempFolder } from '../support/temp.js';

// 5,000 is the number of the release check: MPE_TEST_SITE_KEYS_MESSAGES=5000.
const MESSAGES = Number(process.env['MPE_TEST_SITE_KEYS_MESSAGES'] ?? 300);
// With fewer, clients would be without a message, also those that begin late.
if (!Number.isInteger(MESSAGES) || MESSAGES < 40)
  throw new Error('MPE_TEST_SITE_KEYS_MESSAGES must be a whole number, 40 or more');
/** So many wait in the queue when their key is retired; clients that begin late send none of them. */
const QUEUED = Math.min(60, Math.floor(MESSAGES / 2));
const BOUND_MS = 180_000 + MESSAGES * 120;

let base: Awaited<ReturnType<typeof prepare>>;
let undisturbed: string;

beforeAll(async () => {
  base = await prepare(MESSAGES);
  ({ hash: undisturbed } = await runUndisturbed(base));
}, BOUND_MS);
afterAll(async () => base.engine.dispose());

/** Clients, one of five, that begin late. */
const isHeld = (client: number): boolean => client % 5 === 4;

interface Listed {
  readonly kid: string;
  readonly alg: string;
  readonly state: string;
}

const listed = async (engine: Engine): Promise<Listed[]> =>
  (JSON.parse((await engine.run(['site-keys', 'list', '--json'])).stdout) as { keys: Listed[] }).keys;

const quarantined = async (engine: Engine): Promise<number> => {
  const store = await openSite(engine);
  try {
    return (await store.counts()).quarantined;
  } finally {
    await store.close();
  }
};

async function until(what: string, done: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + BOUND_MS / 2;
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`not within the time: ${what}`);
    await sleep(250);
  }
}

/** The recovery service on a host of its own, and what reaches the hosts by an operator's hand. */
class RecoveryHost {
  readonly #engine: Engine;
  #process: EngineProcess | null = null;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async start(): Promise<void> {
    const keys = join(this.#engine.folder, 'keys-recovery');
    mkdirSync(keys, { recursive: true, mode: 0o700 });
    copyWithModes(join(this.#engine.home, 'keys', 'site.json'), join(keys, 'site.json'));
    this.copy('recovery');
    this.#process = EngineProcess.start({
      name: 'recovery',
      args: ['recovery'],
      env: {
        ...this.#engine.environment(),
        MPE_KEYS_DIR: keys,
        MPE_RECOVERY_CANARY_SECONDS: '1',
        MPE_RECOVERY_OPS_LISTEN: 'off',
      },
      logFile: join(this.#engine.logs, 'recovery.log'),
    });
    await this.#process.waitForEvent('recovery.ready');
  }

  /** Copies a part of the key folder to the hosts that need it. */
  copy(part: 'recovery' | 'worker'): void {
    const to = part === 'worker' ? this.#engine.keysOf('worker') : join(this.#engine.folder, 'keys-recovery');
    copyWithModes(join(this.#engine.home, 'keys', part), join(to, part));
  }

  /** Data keys that it wrapped to a certificate by itself. */
  rewrapped(thumbprint: string): number {
    const lines = (this.#process?.lines() ?? []).filter(
      (line) => line['event'] === 'canary.rewrapped' && line['thumbprint'] === thumbprint,
    );
    return lines.reduce((sum, line) => sum + Number(line['wrapped']), 0);
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }
}

interface Certificates {
  readonly current: string;
  readonly dataKeys: number;
  readonly missing: number;
  readonly certificates: readonly { readonly thumbprint: string; readonly removable: boolean }[];
}

const certificates = async (engine: Engine): Promise<Certificates> =>
  JSON.parse((await engine.command(['certificate', 'status', '--json'])).stdout) as Certificates;

/** Waits until as many messages as are asked for are in the queue or with a worker. */
async function untilQueued(
  engine: Engine,
  what: string,
  isEnough: (messages: number) => boolean,
): Promise<void> {
  const { siteGuid } = await openKeyFolder(join(engine.home, 'keys'), 'anyone');
  const queue = SubmitQueue.open({
    ...{ redisUrl: engine.redis.url, siteGuid, highWater: 1_000_000 },
    log: createLogger('test', { logLevel: 'fatal' }, { fd: 2 }),
  });
  try {
    await until(what, async () => {
      // Not yet, where Redis has not answered for the first time.
      const depth = await queue.depth().catch(() => null);
      return depth !== null && isEnough(depth.waiting + depth.active + depth.delayed);
    });
  } finally {
    await queue.close();
  }
}

interface Change {
  readonly name: string;
  /** `letGo`: clients that were held back begin, so that there are new secrets to come. */
  readonly run: (engine: Engine, recovery: RecoveryHost, letGo: () => void) => Promise<unknown>;
}

/** Changes of the site while messages are on their way. */
const CHANGES: readonly Change[] = [
  { name: 'rotate', run: (engine) => engine.run(['site-keys', 'rotate', '--again']) },
  {
    name: 'retire the oldest keys',
    run: async (engine) => {
      const offered = (await listed(engine)).filter((key) => key.state === 'offered');
      for (const alg of ['RSA-OAEP-256', 'ECDH-ES+A256KW']) {
        const oldest = offered.filter((key) => key.alg === alg).at(-1);
        if (oldest !== undefined) await engine.run(['site-keys', 'retire', '--', oldest.kid]);
      }
    },
  },
  {
    name: 'change the certificate, as the page for operators says',
    run: async (engine, recovery) => {
      await engine.run(['certificate', 'create']);
      recovery.copy('worker');
      recovery.copy('recovery');
      await engine.run(['certificate', 'rotate']);
    },
  },
  { name: 'change the root', run: (engine) => engine.run(['site', 'publish', '--new-root']) },
  {
    name: 'change the certificate where the hosts of workers are forgotten',
    run: async (engine, recovery, letGo) => {
      await engine.run(['certificate', 'create']);
      recovery.copy('recovery');
      // Workers that have no data key yet: the next message makes one, for the former certificate.
      await engine.gateway?.stop();
      await untilQueued(engine, 'an empty queue', (messages) => messages === 0);
      await Promise.all(engine.workers.map(async (worker) => worker?.stop()));
      await Promise.all(engine.workers.map(async (_, index) => engine.startWorker(index)));
      await engine.run(['certificate', 'rotate']);
      await engine.startGateway();
      letGo();
      const { current } = await certificates(engine);
      await until('a re-wrap by the recovery service', () =>
        Promise.resolve(recovery.rewrapped(current) > 0),
      );
      recovery.copy('worker');
    },
  },
  {
    name: 'restore what was retired',
    run: async (engine) => {
      for (const key of await listed(engine))
        if (key.state === 'retired') await engine.run(['site-keys', 'restore', '--', key.kid]);
    },
  },
];

/** Leaves the newest certificate alone in `recovery/`; the others are gone for good. */
async function takeFormerCertificatesAway(engine: Engine): Promise<void> {
  const { current, certificates: all } = await certificates(engine);
  expect(all.filter((one) => one.thumbprint !== current).map((one) => one.removable)).toEqual([true, true]);
  const folder = join(engine.home, 'keys', 'recovery');
  for (const name of readdirSync(folder))
    if (!name.includes(current.slice(0, 16))) rmSync(join(folder, name));
  expect(readdirSync(folder)).toHaveLength(2);
}

/** Retired sealing keys open with the certificate that is left too. */
async function expectArchiveOpens(engine: Engine): Promise<void> {
  const keys = await openKeyFolder(join(engine.home, 'keys'), 'recovery');
  const keeper = await FileKeeper.open(keys.path);
  const [only] = keeper.certificates();
  const store = await openSite(engine);
  const rows = await store.readArchivedSealingKeys();
  await store.close();
  const kids = new Set(rows.map((row) => row.kid));
  const own = rows.filter((row) => row.certificateThumbprint === only?.thumbprint);
  expect(own.length).toBeGreaterThanOrEqual(3);
  expect(own).toHaveLength(kids.size);
  for (const row of own)
    expect((await unwrapRetiredKey(row, keys.siteGuid, (...call) => keeper.open(...call))).kid).toBe(row.kid);
}

describe(`site keys and certificate changed under ${MESSAGES} messages with re-sends`, () => {
  it(
    'loses nothing, leaves nothing in quarantine, and comes to the undisturbed site',
    async () => {
      const folder = tempFolder('mpe-site-keys-');
      base.engine.copyTo(folder);
      const engine = Engine.at({ folder, workers: 2 });
      const recovery = new RecoveryHost(engine);
      const began = performance.now();
      try {
        await engine.start();
        await recovery.start();

        // Queued for the old key when it is retired: no worker opens these.
        const first = (await listed(engine)).find((key) => key.alg === 'RSA-OAEP-256')?.kid ?? '';
        await Promise.all(engine.workers.map(async (worker) => worker?.kill()));
        const gone = await Fleet.load(base.snapshot, engine.url, { waitSeconds: 0 });
        const stop = new AbortController();
        const stopped = once(stop.signal, 'abort').then(() => undefined);
        // Those that are held back below send nothing here, so that what they have is new then.
        const sending = gone.drain(BOUND_MS, {
          signal: stop.signal,
          gate: (client) => (isHeld(client) ? stopped : Promise.resolve()),
        });
        await untilQueued(engine, `${QUEUED} messages in the queue`, (messages) => messages >= QUEUED);
        stop.abort();
        await sending;
        await gone.close();
        await engine.run(['site-keys', 'rotate']);
        await engine.run(['site-keys', 'retire', '--', first]);
        await Promise.all(engine.workers.map(async (_, index) => engine.startWorker(index)));
        const most = Math.floor((QUEUED * 2) / 3);
        await until('messages in quarantine', async () => (await quarantined(engine)) >= most);

        // The key returns, their clients do not: they are processed all the same.
        await engine.run(['site-keys', 'restore', '--', first]);
        await until('an empty quarantine', async () => (await quarantined(engine)) === 0);
        const store = await openSite(engine);
        expect((await store.counts()).outcomes).toBeGreaterThanOrEqual(QUEUED / 2);
        await store.close();

        // Each client twice: every message is sent at least twice, and the keys change all the while.
        const fleets = [
          await Fleet.load(base.snapshot, engine.url, { concurrency: 4 }),
          await Fleet.load(base.snapshot, engine.url, { concurrency: 4 }),
        ];
        let letGo = (): void => undefined;
        const held = new Promise<void>((resolve) => (letGo = resolve));
        const gate = (client: number): Promise<void> => (isHeld(client) ? held : Promise.resolve());
        const drains = Promise.all(fleets.map((fleet) => fleet.drain(BOUND_MS * 2, { gate })));
        const replies = (): number => fleets.reduce((sum, fleet) => sum + fleet.replies, 0);
        for (const [n, change] of CHANGES.entries()) {
          const enough = ((n + 1) / (CHANGES.length + 1)) * MESSAGES * 2;
          await until(`${enough} replies`, () => Promise.resolve(replies() >= enough));
          await change.run(engine, recovery, letGo);
        }
        const reports: readonly FleetReport[] = await drains;
        expect(reports.map((report) => report.pending)).toEqual([0, 0]);
        await until('an empty quarantine', async () => (await quarantined(engine)) === 0);
        await Promise.all(fleets.map((fleet) => fleet.close()));
        await until('no data key without a wrap', async () => (await certificates(engine)).missing === 0);
        const { dataKeys } = await certificates(engine);
        await engine.stop();
        await recovery.kill();
        await takeFormerCertificatesAway(engine);
        await expectArchiveOpens(engine);
        const verified = await engine.run(['certificate', 'verify', '--all', '--json']);
        expect(JSON.parse(verified.stdout)).toMatchObject({
          ok: true,
          dataKeysFailing: [],
          secretsFailing: 0,
        });

        const audit = await auditSite(
          engine,
          fleets[0]!.messages,
          reports.flatMap((report) => report.told),
        );
        expect(audit).toMatchObject({ lost: [], unreadable: [], surplus: [], doubled: 0 });
        expect(await siteHashOf(engine)).toBe(undisturbed);
        const sent = reports.reduce((sum, report) => sum + report.sent, 0);
        console.info(
          `${MESSAGES} messages, sent ${sent} times while ${CHANGES.length} changes ran: ${audit.opened} secrets under ` +
            `${dataKeys} data keys open with the last of 3 certificates, ` +
            `${Math.round((performance.now() - began) / 1000)} s`,
        );
      } finally {
        await recovery.kill();
        await engine.dispose();
      }
    },
    BOUND_MS * 3,
  );
});
