import { cpus, release, totalmem } from 'node:os';
import type { OpeningKeys } from '../src/jose/index.js';
import { open, peekKid, seal, sign, thumbprint, verify } from '../src/jose/index.js';
import { decodeClientMessage } from '../src/protocol/decode-client-message.js';
import type { PublicJwk } from '../src/protocol/jwk.js';
import { openKeyFolder } from '../src/secrets/key-folder.js';
import { openSealingKeys } from '../src/secrets/site-keys.js';
import { join } from 'node:path';
import { Engine } from '../test/support/engine.js';
import { Fleet } from '../test/support/fleet.js';
import { SeededRandom } from '../test/support/random.js';
import { auditSite, openSite } from '../test/support/site-audit.js';

/** What is measured. */
export interface BenchOptions {
  readonly messages: number;
  readonly print: (line: string) => void;
}

const CLIENTS = 50;
const IN_FLIGHT_EACH = 4;
const DRAIN_MS = 300_000;

/**
 * Committed messages per second with everything on this machine: clients that sign and seal,
 * gateway, Redis with AOF always, two workers, SQLite with synchronous FULL. Beside it, in the same
 * run, the same messages only opened and verified in one process: what no engine can be faster than
 * per core. Their ratio says more than either number, which depend on the machine.
 */
export async function runBench(options: BenchOptions): Promise<void> {
  const { print, messages } = options;
  const [cpu] = cpus();
  print(
    `   ${cpus().length} × ${cpu?.model ?? '?'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}`,
  );
  const { engine, enrolmentToken } = await Engine.create({
    workers: 2,
    // A whole fleet comes from one address here.
    settings: { MPE_GATEWAY_LIMIT_ADDRESS: 'off', MPE_GATEWAY_LIMIT_CLIENT: 'off' },
  });
  try {
    const fleet = await Fleet.enrol({
      ...{ url: engine.url, enrolmentToken, clients: CLIENTS },
      client: { concurrency: IN_FLIGHT_EACH, waitSeconds: 20, timeoutMs: 20_000 },
    });
    await fleet.prepare(messages, new SeededRandom(1));
    const bare = await openAndVerify(engine, fleet, print);
    const began = performance.now();
    const report = await fleet.drain(DRAIN_MS);
    const seconds = (performance.now() - began) / 1000;
    await fleet.close();
    await engine.stop();
    const audit = await auditSite(engine.home, fleet.messages, report.told);
    const told = new Set(report.told.map((one) => one.messageId)).size;
    if (
      told !== messages ||
      audit.lost.length + audit.unreadable.length + audit.surplus.length + audit.doubled > 0
    )
      throw new Error(`not every message was committed once: ${JSON.stringify({ told, ...audit })}`);
    const rate = messages / seconds;
    const at = percentile(report.latencies);
    print(
      `   committed         ${rate.toFixed(0)} messages/s   ${messages} in ${seconds.toFixed(1)} s, all audited`,
    );
    print(
      `   latency           p50 ${at(0.5).toFixed(0)} ms   p99 ${at(0.99).toFixed(0)} ms   with ${CLIENTS * IN_FLIGHT_EACH} messages in flight`,
    );
    print(`   ratio             ${(rate / bare).toFixed(2)} of opening and verifying alone`);
    print(`   re-sent           ${report.sent - messages}`);
  } finally {
    await engine.dispose();
  }
}

/** Messages per second that one process opens, verifies and decodes, doing nothing else. */
async function openAndVerify(engine: Engine, fleet: Fleet, print: BenchOptions['print']): Promise<number> {
  const store = await openSite(engine.home);
  const keys = await openKeyFolder(join(engine.home, 'keys'), 'worker');
  const opening: OpeningKeys = await openSealingKeys(await store.readSealingKeys(), keys.workerSecret());
  await store.close();
  const { states } = await fleet.snapshot();
  const tokens: { token: string; key: PublicJwk }[] = [];
  for (const text of states) {
    const state = JSON.parse(text) as { key: PublicJwk; messages: { payload: string }[] };
    const sealing = fleet.clients[0]?.site.sealingKeys[0];
    if (sealing === undefined) throw new Error('the site offers no sealing key');
    const { kty, crv, x, y, alg, kid } = state.key as PublicJwk & { crv: string; x: string; y: string };
    const key = { kty, crv, x, y, alg, kid } as PublicJwk;
    for (const { payload } of state.messages) {
      const jws = await sign(Buffer.from(payload, 'base64'), state.key as never, 'mpe-msg+jws');
      tokens.push({ token: await seal(Buffer.from(jws), sealing, 'mpe-env'), key });
    }
  }
  const began = performance.now();
  const queue = [...tokens];
  const lane = async (): Promise<void> => {
    for (let one = queue.pop(); one !== undefined; one = queue.pop()) {
      const { payload: jws } = await open(one.token, 'mpe-env', opening);
      const text = jws.toString('ascii');
      if (peekKid(text, 'mpe-msg+jws') !== thumbprint(one.key)) throw new Error('signed by another key');
      const { payload } = await verify(text, 'mpe-msg+jws', one.key);
      if (decodeClientMessage(payload).kind !== 'message') throw new Error('not a message');
    }
  };
  await Promise.all(Array.from({ length: 64 }, lane));
  const seconds = (performance.now() - began) / 1000;
  const rate = tokens.length / seconds;
  print(
    `   open and verify   ${rate.toFixed(0)} messages/s   ${tokens.length} in ${seconds.toFixed(1)} s, one process, ${fleet.clients[0]?.site.sealingKeys[0]?.alg ?? ''}`,
  );
  return rate;
}

function percentile(values: readonly number[]): (share: number) => number {
  const sorted = [...values].sort((a, b) => a - b);
  return (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
