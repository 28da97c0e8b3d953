import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Above the ports of well-known services and below those that the system gives out by itself (from 32768
 * on Linux, from 49152 elsewhere): what asks for any port, and every outgoing connection, gets another one.
 */
const FIRST = 12_000;
const SLICE = 1000;
const SLICES = 20;

// The processes that run test files at the same time choose from different slices.
const slice = Number(process.env['VITEST_POOL_ID'] ?? '0') % SLICES;
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
