import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { commitGroup, type GroupResult } from '../../src/store/commit/commit-group.js';
import { Connection } from '../../src/store/mssql/connection.js';
import { guidOf } from '../../src/store/mssql/parameters.js';
import { openStore } from '../../src/store/open-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { SeededRandom } from '../support/random.js';
import { describeSqlServer, makeSqlServerDatabase, type SqlServerDatabase } from '../support/sqlserver.js';
import { hashText } from './conformance/readers.js';
import { RACE_CLIENTS, raceMessages, raceModel } from './race-messages.js';
import {
  candidate,
  DATA_KEY,
  id,
  register,
  siteSeed,
  testPlanner,
  type MessageSpec,
  type TestReply,
} from './world.js';

const WRITERS = 50;
const VOLUMES = 8;
const WORKERS = 8;
const MESSAGES = 120;
/** Dozens of new connections at once: a busy test server takes long over their first batches. */
const REQUEST_TIMEOUT_MS = 180_000;
const TEST = { timeout: 900_000 };

/** The database, with patience. */
const patientLocation = ({ location }: SqlServerDatabase): SqlServerDatabase['location'] => ({
  ...location,
  target: { ...location.target, requestTimeoutMs: REQUEST_TIMEOUT_MS },
});

/** Sends until an answer counts, as a client does. */
async function patient(
  store: SiteStore,
  spec: MessageSpec,
): Promise<GroupResult<TestReply> & { kind: 'done' }> {
  for (;;) {
    const [result] = await commitGroup(store, [candidate(spec)], testPlanner());
    if (result!.kind === 'done') return result!;
    if (result!.kind === 'failed') throw result!.error;
  }
}

describeSqlServer('commits that meet on SQL Server', () => {
  it(
    'fifty writers for one machine over five pools: every key and proof once, the highest report stays',
    TEST,
    async () => {
      const database = await makeSqlServerDatabase();
      const stores = await Promise.all(Array.from({ length: 5 }, () => openStore(patientLocation(database))));
      const [store] = stores;
      await store!.createSite(siteSeed());
      await register(store!, 1);
      const random = new SeededRandom(11);
      const specs = Array.from({ length: WRITERS }, (_, n): MessageSpec => {
        // Each writer names the volumes in an order of its own, and every key is sent by two writers.
        const volumes = random.shuffle(Array.from({ length: VOLUMES }, (_v, v) => v));
        const key = (v: number): number => 1 + v * WRITERS + Math.floor(n / 2);
        return {
          ...{ client: 1, message: n + 1, sequence: n + 1 },
          volumes: volumes.map((v) => ({
            volume: v + 1,
            protectors: [{ key: key(v), password: `password ${key(v)}` }],
          })),
        };
      });
      const results = await Promise.all(
        random.shuffle(specs).map((spec, n) => patient(stores[n % stores.length]!, spec)),
      );
      const keys = (WRITERS / 2) * VOLUMES;
      expect(results.reduce((sum, { keysWritten }) => sum + keysWritten, 0)).toBe(keys);
      expect(await store!.counts()).toMatchObject({ keys, secrets: keys, outcomes: WRITERS });
      const lines = await hashText(store!);
      expect(lines.filter((line) => line.startsWith('proofs '))).toHaveLength(keys);
      const reports = lines.filter((line) => line.startsWith('reports '));
      expect(reports).toHaveLength(VOLUMES);
      for (const line of reports) expect(line).toContain(` 1 ${WRITERS} `);
      await Promise.all(stores.map((one) => one.close()));
    },
  );

  it(
    `${WORKERS} processes send the same ${MESSAGES} messages twice: each takes effect once, all as the model says`,
    TEST,
    async () => {
      const database = await makeSqlServerDatabase();
      const store = await database.open();
      await store.createSite(siteSeed());
      await store.insertDataKey(DATA_KEY);
      await register(store, ...Array.from({ length: RACE_CLIENTS }, (_, n) => n + 1));
      const runs = await Promise.all(
        Array.from({ length: WORKERS }, (_, own) =>
          runWorker(JSON.stringify(patientLocation(database)), 100 + own),
        ),
      );
      const model = raceModel(raceMessages(MESSAGES, 7));
      const told = runs.flat();
      expect(new Set(told).size).toBe(told.length);
      expect(told.length).toBe(model.outcomes);
      const { keys, outcomes } = model;
      expect(await store.counts()).toMatchObject({ outcomes, keys, secrets: keys, damagedSecrets: 0 });
      expect(await hashText(store)).toEqual(model.hash);
    },
  );

  it('commits after a deadlock, whoever is the victim', TEST, async () => {
    const database = await makeSqlServerDatabase();
    const store = await database.open();
    await store.createSite(siteSeed());
    await register(store, 1);
    const spec: MessageSpec = {
      ...{ client: 1, message: 1, sequence: 1 },
      volumes: [{ volume: 1, protectors: [{ key: 1, password: 'p' }] }],
    };
    const retries: string[] = [];
    const rival = await Connection.open(database.target, { poolMax: 1 });
    let commit: Promise<GroupResult<TestReply>[]> | undefined;
    // The rival has the volume and wants the outcome; the commit has the outcome and wants the volume.
    await rival
      .transaction(async (tx) => {
        const parameters = {
          ...{
            volume: guidOf(id('volume', 1)),
            client: guidOf(id('client', 1)),
            message: guidOf(id('message', 1)),
          },
        };
        await tx.query(
          `INSERT INTO MPE_Volumes (VolumeId, FirstSeenAt) VALUES (@volume, '2026-01-01');`,
          parameters,
        );
        commit = commitGroup(store, [candidate(spec)], testPlanner(), {
          onRetry: (cause, error) => retries.push(`${cause} ${String(error?.facts['number'] ?? '')}`.trim()),
        });
        await new Promise((resume) => setTimeout(resume, 1_500));
        await tx.query(
          `INSERT INTO MPE_Outcomes (ClientId, MessageId, Digest, BodyType, Epoch, Sequence, Disposition, Reason,
             SealedReply, Attempts, Stages, ReceivedAt, DecidedAt, DecidedBy)
           VALUES (@client, @message, CONVERT(varbinary(32), REPLICATE('00', 32), 2), 'UNKNOWN', 1, 1, 0, 'NONE', '', 1,
             N'[]', '2026-01-01', '2026-01-01', N'rival');`,
          parameters,
        );
        throw new Error('never mind');
      })
      .catch(() => undefined);
    expect(await commit).toMatchObject([{ kind: 'done', reply: 'COMMITTED' }]);
    // Whoever lost: the server broke the circle, and nothing is left of the rival.
    expect(retries.every((retry) => ['transient 1205', 'race'].includes(retry))).toBe(true);
    expect(await store.counts()).toMatchObject({ outcomes: 1, keys: 1, secrets: 1 });
    await rival.close();
  });
});

/** Runs one process to its end; the message ids that it was told it wrote. */
async function runWorker(location: string, seed: number): Promise<number[]> {
  const worker = join(import.meta.dirname, 'race-worker.ts');
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', worker, location, String(MESSAGES), '7', String(seed)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const written: number[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('w ')) written.push(Number(line.slice(2)));
  }
  if (child.exitCode === null) await once(child, 'exit');
  expect(child.exitCode).toBe(0);
  return written;
}
