import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FleetReport } from '../support/fleet.js';
import { prepare, runUndisturbed } from '../chaos/campaign.js';
import { Engine } from '../support/engine.js';
import { Fleet } from '../support/fleet.js';
import { auditSite, openSite, siteHashOf } from '../support/site-audit.js';
import { tempFolder } from '../support/temp.js';

// 5,000 is the number of the release check: MPE_TEST_SITE_KEYS_MESSAGES=5000.
const MESSAGES = Number(process.env['MPE_TEST_SITE_KEYS_MESSAGES'] ?? 300);
const BOUND_MS = 180_000 + MESSAGES * 120;

let base: Awaited<ReturnType<typeof prepare>>;
let undisturbed: string;

beforeAll(async () => {
  base = await prepare(MESSAGES);
  ({ hash: undisturbed } = await runUndisturbed(base));
}, BOUND_MS);
afterAll(async () => base.engine.dispose());

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

/** Changes of the site while messages are on their way; a change of the certificate belongs here too. */
const CHANGES: readonly { readonly name: string; readonly run: (engine: Engine) => Promise<unknown> }[] = [
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
  { name: 'change the root', run: (engine) => engine.run(['site', 'publish', '--new-root']) },
  {
    name: 'restore what was retired',
    run: async (engine) => {
      for (const key of await listed(engine))
        if (key.state === 'retired') await engine.run(['site-keys', 'restore', '--', key.kid]);
    },
  },
];

describe(`site keys changed under ${MESSAGES} messages with re-sends`, () => {
  it(
    'loses nothing, leaves nothing in quarantine, and comes to the undisturbed site',
    async () => {
      const folder = tempFolder('mpe-site-keys-');
      base.engine.copyTo(folder);
      const engine = Engine.at({ folder, workers: 2 });
      try {
        await engine.start();

        // Queued for the old key when it is retired: no worker opens these.
        const first = (await listed(engine)).find((key) => key.alg === 'RSA-OAEP-256')?.kid ?? '';
        await Promise.all(engine.workers.map(async (worker) => worker?.kill()));
        const gone = await Fleet.load(base.snapshot, engine.url, { waitSeconds: 0 });
        const stop = new AbortController();
        const sending = gone.drain(BOUND_MS, { signal: stop.signal });
        await until('messages in the queue', () => Promise.resolve(gone.inFlight >= Math.min(40, MESSAGES)));
        stop.abort();
        await sending;
        await gone.close();
        await engine.run(['site-keys', 'rotate']);
        await engine.run(['site-keys', 'retire', '--', first]);
        await Promise.all(engine.workers.map(async (_, index) => engine.startWorker(index)));
        await until('messages in quarantine', async () => (await quarantined(engine)) >= 40);

        // The key returns, their clients do not: they are processed all the same.
        await engine.run(['site-keys', 'restore', '--', first]);
        await until('an empty quarantine', async () => (await quarantined(engine)) === 0);
        const store = await openSite(engine);
        expect((await store.counts()).outcomes).toBeGreaterThanOrEqual(30);
        await store.close();

        // Each client twice: every message is sent at least twice, and the keys change all the while.
        const fleets = [
          await Fleet.load(base.snapshot, engine.url, { concurrency: 4 }),
          await Fleet.load(base.snapshot, engine.url, { concurrency: 4 }),
        ];
        const drains = Promise.all(fleets.map((fleet) => fleet.drain(BOUND_MS)));
        const replies = (): number => fleets.reduce((sum, fleet) => sum + fleet.replies, 0);
        for (const [n, change] of CHANGES.entries()) {
          const enough = ((n + 1) / (CHANGES.length + 1)) * MESSAGES * 2;
          await until(`${enough} replies`, () => Promise.resolve(replies() >= enough));
          await change.run(engine);
        }
        const reports: readonly FleetReport[] = await drains;
        expect(reports.map((report) => report.pending)).toEqual([0, 0]);
        await until('an empty quarantine', async () => (await quarantined(engine)) === 0);
        await Promise.all(fleets.map((fleet) => fleet.close()));
        await engine.stop();

        const audit = await auditSite(
          engine,
          fleets[0]!.messages,
          reports.flatMap((report) => report.told),
        );
        expect(audit).toMatchObject({ lost: [], unreadable: [], surplus: [], doubled: 0 });
        expect(await siteHashOf(engine)).toBe(undisturbed);
      } finally {
        await engine.dispose();
      }
    },
    BOUND_MS * 2,
  );
});
