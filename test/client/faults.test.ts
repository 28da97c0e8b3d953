import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import {
  MemoryStateStore,
  MpeClient,
  randomRecoveryPassword,
  type StateStore,
} from '../../src/client/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import { LiveSite } from './live-site.js';
import { StolenGateway } from './stolen-gateway.js';

let site: LiveSite;
beforeAll(async () => {
  site = await LiveSite.start();
});
afterAll(() => site.stop());

const quick = { backoff: { baseMs: 20, capMs: 100 }, waitSeconds: 20, timeoutMs: 30_000 };
/** For a server that does not answer. */
const hasty = { ...quick, waitSeconds: 1, timeoutMs: 500 };
const volumes = () => [
  {
    volumeId: newGuid(),
    volumeType: 'OS' as const,
    protectors: [{ keyId: newGuid(), recoveryPassword: randomRecoveryPassword() }],
  },
];

test('a server that accepts and says nothing is given up, at enrolment and later', async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const url = `https://localhost:${String((silent.address() as AddressInfo).port)}`;
  const { enrolmentToken } = site;
  await expect(
    MpeClient.enrol({ ...hasty, url, enrolmentToken, state: new MemoryStateStore() }),
  ).rejects.toMatchObject({ code: 'UNREACHABLE' });

  const state = new MemoryStateStore();
  const client = await MpeClient.enrol({ ...quick, url: site.url, enrolmentToken, state });
  await client.escrow(volumes());
  await client.close();
  const moved = (await state.read())!.replace(site.url, url);
  await state.write(() => moved);
  const lost = await MpeClient.load(state, hasty);
  const report = await lost.pump();
  expect(report).toEqual({ settled: [], pending: 1 });
  await lost.close();
  for (const socket of sockets) socket.destroy();
  silent.close();
});

test('a gateway that takes the message and never answers: the message is sent again', async () => {
  const gateway = await StolenGateway.start((await openKeyFolder(site.keysDir, 'gateway')).tls(), site.url);
  const { enrolmentToken } = site;
  const client = await MpeClient.enrol({
    ...quick,
    // The answers that come must not be late, on a busy machine either.
    ...{ waitSeconds: 1, timeoutMs: 5000 },
    url: gateway.url,
    enrolmentToken,
    state: new MemoryStateStore(),
  });
  const [volume] = volumes();
  await client.escrow([volume!]);
  let swallowed = 0;
  gateway.lie = ({ method, path }) => {
    if (method !== 'POST' || path !== '/v1/messages' || swallowed > 0) return null;
    swallowed += 1;
    return new Promise(() => undefined);
  };
  const { settled } = await client.drain({ timeoutMs: 90_000 });
  expect(swallowed).toBe(1);
  expect(settled.map((one) => one.disposition)).toEqual(['COMMITTED']);
  await client.close();
  await gateway.stop();
});

test('a gateway that restarts in between: the connection is made anew and nothing is lost', async () => {
  const { enrolmentToken } = site;
  const client = await MpeClient.enrol({
    ...quick,
    url: site.url,
    enrolmentToken,
    state: new MemoryStateStore(),
  });
  await client.escrow(volumes());
  await client.drain({ timeoutMs: 90_000 });
  await site.restartGateway();
  await client.escrow(volumes());
  const { settled } = await client.drain({ timeoutMs: 90_000 });
  expect(settled.map((one) => one.disposition)).toEqual(['COMMITTED']);
  await client.close();
});

/** A disk that is full for one write. */
class FullDisk implements StateStore {
  full = false;
  text = '';
  read(): Promise<string | null> {
    return Promise.resolve(this.text === '' ? null : this.text);
  }
  write(encode: () => string): Promise<void> {
    if (this.full) return Promise.reject(new Error('ENOSPC'));
    this.text = encode();
    return Promise.resolve();
  }
  close(): void {
    // Nothing is held.
  }
}

test('a message that could not be written is never sent, and the client stops until it is loaded anew', async () => {
  const disk = new FullDisk();
  const sent: string[] = [];
  const client = await MpeClient.enrol({
    ...quick,
    url: site.url,
    enrolmentToken: site.enrolmentToken,
    state: disk,
    onEvent: (event) => {
      if (event.event === 'client.message-sent') sent.push(event.messageId);
    },
  });
  disk.full = true;
  await expect(client.escrow(volumes())).rejects.toMatchObject({ code: 'STATE_INVALID' });
  disk.full = false;
  await expect(client.drain({ timeoutMs: 2000 })).rejects.toMatchObject({ code: 'STATE_INVALID' });
  expect(sent).toEqual([]);
  await client.close();
  const again = await MpeClient.load(disk, quick);
  expect(again.nextSequence).toBe(1n);
  expect(again.pending()).toEqual([]);
  await again.escrow(volumes());
  const { settled } = await again.drain({ timeoutMs: 90_000 });
  expect(settled.map((one) => one.disposition)).toEqual(['COMMITTED']);
  await again.close();
});

test('a message that is being written is not sent before it is on disk', async () => {
  const disk = new FullDisk();
  const gate = { slow: false, open: (): void => undefined };
  const slow: StateStore = {
    read: () => disk.read(),
    write: async (encode) => {
      if (gate.slow) await new Promise<void>((resolve) => (gate.open = resolve));
      await disk.write(encode);
    },
    close: () => undefined,
  };
  const early: string[] = [];
  const client = await MpeClient.enrol({
    ...quick,
    url: site.url,
    enrolmentToken: site.enrolmentToken,
    state: slow,
    onEvent: (event) => {
      if (event.event === 'client.message-sent' && !disk.text.includes(event.messageId)) {
        early.push(event.messageId);
      }
    },
  });
  await client.token();
  gate.slow = true;
  const making = client.escrow(volumes());
  const pumping = client.pump();
  await vi.waitFor(() => expect(client.pending()).toHaveLength(1), { timeout: 90_000 });
  // The client is free to send; only the disk is slow.
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(early).toEqual([]);
  gate.slow = false;
  gate.open();
  await making;
  await pumping;
  await client.drain({ timeoutMs: 90_000 });
  expect(early).toEqual([]);
  expect(client.settled()).toHaveLength(1);
  await client.close();
});
