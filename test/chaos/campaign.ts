import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Engine } from '../support/engine.js';
import type { FaultProxy } from '../support/fault-proxy.js';
import { Fleet, type FleetSnapshot, type MadeMessage } from '../support/fleet.js';
import { SeededRandom } from '../support/random.js';
import { auditSite, openSite, siteHashOf, type SitePlace } from '../support/site-audit.js';
import { tempFolder } from '../support/temp.js';
import { SiteDatabase } from '../support/site-database.js';
import { carryOut, planFaults, PROCESSES, type Victim } from './faults.js';
import { Waves } from './waves.js';

/** A campaign: every seed sends the same messages to a copy of the same site, with other kills. */
export interface CampaignOptions {
  readonly seeds: number;
  readonly messages: number;
  readonly firstSeed: number;
  /** A SQL Server on which each run gets a database of its own; absent: SQLite. */
  readonly serverUrl?: string | undefined;
  readonly print: (line: string) => void;
}

/** One line of the matrix. */
export interface SeedResult {
  readonly seed: number;
  readonly kills: Readonly<Record<Victim, number>>;
  readonly told: number;
  readonly pending: number;
  readonly resent: number;
  readonly lost: number;
  readonly doubled: number;
  readonly unreadable: number;
  readonly surplus: number;
  readonly hashEqual: boolean;
  readonly poisonDead: boolean;
  readonly seconds: number;
}

const CLIENTS = 40;
const FAULT_ROUNDS = 3;

/** What the runs of a campaign start from. */
interface Base {
  readonly engine: Engine;
  readonly snapshot: FleetSnapshot;
  /** One client with one message: the poison. */
  readonly poison: FleetSnapshot;
  readonly serverUrl?: string | undefined;
}

/** How long clients may take until all is told; a database server for tests may be slow, and shared. */
const drainMs = ({ serverUrl }: Base): number => (serverUrl === undefined ? 180_000 : 900_000);

/** Silence ends by a cut; this is for what hangs in spite of it. A busy test server needs seconds to start. */
const DATABASE_TIMES = { requestTimeout: '15000', connectTimeout: '5000' };

/**
 * Runs the campaign and prints its matrix. True when every run kept every promise:
 * each message whose client verified COMMITTED is there once and readable, re-sends brought in the
 * rest, the site hash equals the undisturbed run's, and the poison message ended as a dead letter.
 */
export async function runCampaign(options: CampaignOptions): Promise<boolean> {
  const { print, messages } = options;
  const began = performance.now();
  const base = { ...(await prepare(messages)), serverUrl: options.serverUrl };
  try {
    const undisturbed = await runUndisturbed(base);
    print(
      `   undisturbed: ${messages} messages in ${undisturbed.seconds.toFixed(1)} s, site ${undisturbed.hash.slice(0, 12)}…`,
    );
    print('   seed  kills w/g/r/d   told  re-sent  lost  twice  unreadable  surplus  hash   poison  seconds');
    let good = true;
    for (let seed = options.firstSeed; seed < options.firstSeed + options.seeds; seed += 1) {
      const result = await runSeed(base, seed, undisturbed.hash);
      print(matrixLine(result));
      good &&= isGood(result, messages);
      if (!isGood(result, messages))
        print(
          `   ✗ seed ${seed} broke a promise. Again: npm run chaos -- --seeds 1 --first-seed ${seed} --messages ${messages}` +
            (base.serverUrl === undefined ? '' : ' --store …'),
        );
    }
    const minutes = (performance.now() - began) / 60_000;
    print(
      `   ${good ? 'every run kept every promise' : 'PROMISES WERE BROKEN'}; ${minutes.toFixed(1)} minutes`,
    );
    return good;
  } finally {
    await base.engine.dispose();
  }
}

/** Whether a run kept its promises. */
export function isGood(result: SeedResult, messages: number): boolean {
  return (
    result.told === messages &&
    result.pending + result.lost + result.doubled + result.unreadable + result.surplus === 0 &&
    result.hashEqual &&
    result.poisonDead
  );
}

function matrixLine(result: SeedResult): string {
  const { kills } = result;
  const cells = [
    String(result.seed).padStart(7),
    `${kills.worker}/${kills.gateway}/${kills.redis}/${kills.database}`.padStart(13),
    String(result.told).padStart(7),
    String(result.resent).padStart(7),
    String(result.lost).padStart(5),
    String(result.doubled).padStart(5),
    String(result.unreadable).padStart(10),
    String(result.surplus).padStart(7),
    result.hashEqual ? 'equal' : 'OTHER',
    result.poisonDead ? 'dead' : 'ALIVE',
    result.seconds.toFixed(1).padStart(7),
  ];
  return cells.join('  ');
}

/** Makes a site, enrols clients and has them make their messages; nothing is sent. */
export async function prepare(messages: number): Promise<Base> {
  const { engine, enrolmentToken } = await Engine.create({ workers: 1 });
  try {
    const random = new SeededRandom(messages);
    const { url } = engine;
    const fleet = await Fleet.enrol({ url, enrolmentToken, clients: Math.min(CLIENTS, messages) });
    await fleet.prepare(messages, random);
    const poisoner = await Fleet.enrol({ url, enrolmentToken, clients: 1, namePrefix: 'POISON' });
    await poisoner.prepare(1, random);
    const base = { engine, snapshot: await fleet.snapshot(), poison: await poisoner.snapshot() };
    await fleet.close();
    await poisoner.close();
    await engine.stop();
    return base;
  } catch (error) {
    await engine.dispose();
    throw error;
  }
}

/** The same messages with nothing killed: what every other run must come to. */
export async function runUndisturbed(base: Base): Promise<{ hash: string; seconds: number }> {
  return onCopy(base, {}, async ({ engine, place }) => {
    await engine.start();
    const began = performance.now();
    const fleet = await Fleet.load(base.snapshot, engine.url);
    const report = await fleet.drain(drainMs(base));
    await fleet.close();
    const seconds = (performance.now() - began) / 1000;
    if (report.pending > 0) throw new Error(`${report.pending} messages pending in the undisturbed run`);
    await engine.stop();
    const audit = await auditSite(place, fleet.messages, report.told);
    if (audit.lost.length + audit.unreadable.length + audit.surplus.length + audit.doubled > 0)
      throw new Error(`the undisturbed run is not clean: ${JSON.stringify(audit)}`);
    return { hash: await siteHashOf(place), seconds };
  });
}

/** One run with kills at moments that the seed decides, and a poison message in its midst. */
export async function runSeed(base: Base, seed: number, expectedHash: string): Promise<SeedResult> {
  const poison = base.poison.messages[0];
  if (poison === undefined) throw new Error('no poison message');
  return onCopy(base, { MPE_TEST_POISON: poison.messageId }, async ({ engine, place, proxy }) => {
    await engine.start();
    const began = performance.now();
    const keeper = keepWorkersAlive(engine);
    const fleet = await Fleet.load(base.snapshot, engine.url, { concurrency: 8 });
    const poisoner = await Fleet.load(base.poison, engine.url);
    const kills: Record<Victim, number> = { worker: 0, gateway: 0, redis: 0, database: 0 };
    let finished = false;
    const faults = planFaults(
      new SeededRandom(seed),
      fleet.messages.length,
      FAULT_ROUNDS,
      proxy === undefined ? PROCESSES : [...PROCESSES, 'database'],
    );
    const waves = new Waves(faults.length + 1);
    const chaos = carryOut(engine, faults, {
      replies: () => fleet.replies,
      finished: () => finished,
      proxy,
      onFault: ({ victim }) => {
        kills[victim] += 1;
        waves.next();
      },
    });
    const stopPoison = new AbortController();
    const poisoning = poisoner.drain(drainMs(base), { signal: stopPoison.signal });
    const report = await fleet.drain(drainMs(base), { gate: (client) => waves.gate(client) });
    finished = true;
    await chaos;
    const poisonDead = await untilDead(place, poison, drainMs(base));
    stopPoison.abort();
    await poisoning;
    await keeper.stop();
    await Promise.all([fleet.close(), poisoner.close()]);
    await engine.stop();
    const told = new Set(report.told.map((one) => one.messageId));
    const audit = await auditSite(place, fleet.messages, report.told);
    return {
      seed,
      kills,
      told: told.size,
      pending: report.pending,
      resent: report.sent - fleet.messages.length,
      lost: audit.lost.length,
      doubled: audit.doubled,
      unreadable: audit.unreadable.length,
      surplus: audit.surplus.length,
      hashEqual: (await siteHashOf(place)) === expectedHash,
      poisonDead,
      seconds: (performance.now() - began) / 1000,
    };
  });
}

/** What one run works on. */
interface Run {
  readonly engine: Engine;
  /** Its site as the audit reads it: past the proxy. */
  readonly place: SitePlace;
  /** Between the engine and SQL Server. */
  readonly proxy?: FaultProxy | undefined;
}

/** Runs on a copy of the base site, which is removed with every process of it. */
async function onCopy<T>(
  base: Base,
  settings: Record<string, string>,
  work: (run: Run) => Promise<T>,
): Promise<T> {
  const folder = tempFolder('mpe-run-');
  base.engine.copyTo(folder);
  const options = {
    folder,
    workers: 2,
    quickRecovery: true,
    settings: { MPE_WORKER_DRAIN_MS: '8000', ...settings },
  };
  if (base.serverUrl === undefined) {
    const engine = Engine.at(options);
    return work({ engine, place: engine }).finally(() => engine.dispose());
  }
  const database = await SiteDatabase.create(base.serverUrl, 'mpe_chaos');
  try {
    await database.fillFrom(join(folder, 'home', 'site.db'));
    const { proxy, url } = await database.behindProxy(DATABASE_TIMES);
    const engine = Engine.at({ ...options, storeUrl: url });
    try {
      return await work({ engine, proxy, place: { home: engine.home, storeUrl: database.url } });
    } finally {
      await engine.dispose();
      await proxy.close();
    }
  } finally {
    await database.drop();
  }
}

/** Starts workers that ended by themselves again, as a service manager does: the poison aborts them. */
export function keepWorkersAlive(engine: Engine): { stop(): Promise<void> } {
  let stopping = false;
  const loop = async (): Promise<void> => {
    while (!stopping) {
      for (const [index, worker] of engine.workers.entries())
        if (worker?.running === false && !worker.killed)
          await engine.startWorker(index).catch(() => undefined);
      await sleep(100);
    }
  };
  const running = loop();
  return {
    stop: async () => {
      stopping = true;
      await running;
    },
  };
}

/** Whether the message becomes a dead letter within the time. */
async function untilDead(place: SitePlace, message: MadeMessage, timeoutMs: number): Promise<boolean> {
  const until = performance.now() + timeoutMs;
  const store = await openSite(place);
  try {
    while (performance.now() < until) {
      if ((await store.findDeadLetter(message.clientId, message.messageId)) !== null) return true;
      await sleep(200);
    }
    return false;
  } finally {
    await store.close();
  }
}
