import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Above the ports of well-known services and below those that the system gives out by itself (from 32768
 * on Linux, from 49152 elsewhere): what asks for any port, and every outgoing connection, gets another one.
 * That does not hold where net.ipv4.ip_local_port_range begins lower.
 */
const FIRST = 12_000;
const SLICE = 200;
const SLICES = 100;

// Up to eight processes that run test files of one run, which is their parent, choose from different slices.
// Another run has others, unless the ids of the two happen to be a multiple of 25 apart; in the same slice
// each begins at a place of its own by chance.
const slice = (process.ppid * 8 + Number(process.env['VITEST_POOL_ID'] ?? '0')) % SLICES;
let chosen = Math.floor(Math.random() * SLICE);

/**
 * A port of the loopback that stays free for its owner while the owner is down: a server that is killed
 * and started again on its port would otherwise find it taken, now and then, by whoever asked for any.
 */
export async function ownPort(): Promise<number> {
  for (let left = SLICE; left > 0; left -= 1) {
    chosen = (chosen + 1) % SLICE;
    const port = FIRST + slice * SLICE + chosen;
    if (await isFree(port)) return port;
  }
  throw new Error(`no port from ${FIRST + slice * SLICE} on is free`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return true;
  } catch {
    return false;
  }
}
