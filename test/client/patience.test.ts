import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  MemoryStateStore,
  MpeClient,
  randomRecoveryPassword,
  type ClientEvent,
  type EnrolOptions,
} from '../../src/client/index.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import { encodeMessageReply } from '../../src/protocol/message-reply.js';
import { encodeRegistrationReply } from '../../src/protocol/registration.js';
import { encodeTokenReply } from '../../src/protocol/site-token.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import { LiveSite } from './live-site.js';
import { StolenGateway, type ShownTls } from './stolen-gateway.js';

// How often a client knocks, and how it comes back once a gateway that lied is honest again.

let site: LiveSite;
let siteTls: ShownTls;
let gateway: StolenGateway;
let events: ClientEvent[];

beforeAll(async () => {
  site = await LiveSite.start();
  siteTls = (await openKeyFolder(site.keysDir, 'operator')).tls();
});
afterAll(() => site.stop());
beforeEach(async () => {
  events = [];
  gateway = await StolenGateway.start(siteTls, site.url);
});
afterEach(() => gateway.stop());

const enrolment = (more: Partial<EnrolOptions> = {}): EnrolOptions => ({
  backoff: { baseMs: 20, capMs: 100 },
  // Long: a busy machine must not make a request late, which would be sent again and counted.
  waitSeconds: 20,
  timeoutMs: 30_000,
  url: gateway.url,
  enrolmentToken: site.enrolmentToken,
  state: new MemoryStateStore(),
  onEvent: (event) => events.push(event),
  ...more,
});

async function escrowOne(client: MpeClient): Promise<{ volumeId: Guid; keyId: Guid; messageId: Guid }> {
  const [volumeId, keyId] = [newGuid(), newGuid()];
  const [messageId] = await client.escrow([
    { volumeId, volumeType: 'OS', protectors: [{ keyId, recoveryPassword: randomRecoveryPassword() }] },
  ]);
  return { volumeId, keyId, messageId: messageId! };
}

test('patience that only an unsealed reply asks for ends after an hour', async () => {
  const client = await MpeClient.enrol(enrolment());
  const { messageId } = await escrowOne(client);
  const body = encodeMessageReply({
    ...{ messageId, disposition: 'QUEUED', reason: 'NONE', retry: 'SAME_MESSAGE_LATER' },
    ...{ retryAfterSeconds: 4_294_967_295, sealedReply: '' },
  });
  gateway.lie = ({ path }) =>
    path.startsWith('/v1/messages')
      ? { status: 202, headers: { 'content-type': 'application/protobuf' }, body }
      : null;
  await client.pump();
  const waits = events.flatMap((one) => (one.event === 'client.backing-off' ? [one.delayMs] : []));
  expect(waits).toHaveLength(1);
  expect(waits[0]).toBeLessThanOrEqual(3_600_100);
  await client.close();
});

test('a busy gateway is asked once for all that is pending, not once for each message', async () => {
  const client = await MpeClient.enrol(enrolment({ concurrency: 2 }));
  for (let n = 0; n < 10; n += 1) await escrowOne(client);
  gateway.lie = ({ path }) =>
    path.startsWith('/v1/messages') ? { status: 503, headers: { 'retry-after': '60' } } : null;
  await client.drain({ timeoutMs: 300 });
  await client.pump();
  expect(gateway.count('POST', '/v1/messages')).toBe(2);
  await client.close();
});

test('a refusal that is a fault of the client is repeated at the longest step', async () => {
  const client = await MpeClient.enrol(enrolment({ backoff: { baseMs: 1, capMs: 60_000 } }));
  await escrowOne(client);
  gateway.lie = ({ path }) => (path.startsWith('/v1/messages') ? { status: 400 } : null);
  await client.pump();
  const waits = events.flatMap((one) => (one.event === 'client.backing-off' ? [one.delayMs] : []));
  expect(waits).toHaveLength(1);
  // The first step would be a millisecond.
  expect(waits[0]).toBeGreaterThan(30_000);
  await client.close();
});

test('a token that no header can carry is an answer like any other bad one', async () => {
  const client = await MpeClient.enrol(enrolment());
  const ids = await escrowOne(client);
  const body = encodeTokenReply({ accessToken: 'one\r\ntwo', lifetimeSeconds: 100 });
  gateway.lie = ({ path }) =>
    path === '/v1/token' ? { status: 200, headers: { 'content-type': 'application/protobuf' }, body } : null;
  await client.drain({ timeoutMs: 200 });
  expect(events.some((one) => one.event === 'client.backing-off')).toBe(true);
  gateway.lie = () => null;
  await client.drain({ timeoutMs: 90_000 });
  expect(client.isSafe(ids.volumeId, ids.keyId)).toBe(true);
  await client.close();
});

test('a forged REGISTERED for a new key does not lock the client out', async () => {
  const client = await MpeClient.enrol(enrolment());
  gateway.lie = ({ path }) =>
    path === '/v1/clients'
      ? {
          status: 200,
          headers: { 'content-type': 'application/protobuf' },
          body: encodeRegistrationReply({
            ...{ registrationId: newGuid(), clientId: client.clientId, kid: 'A'.repeat(43) },
            ...{ status: 'REGISTERED', reason: 'NONE', retry: 'NONE', epoch: 9 },
          }),
        }
      : null;
  await client.renewKey();
  const ids = await escrowOne(client);
  await client.drain({ timeoutMs: 200 });
  expect(client.isSafe(ids.volumeId, ids.keyId)).toBe(false);
  gateway.lie = () => null;
  await client.drain({ timeoutMs: 90_000 });
  expect(client.isSafe(ids.volumeId, ids.keyId)).toBe(true);
  expect(client.epoch).toBe(2);
  const registrations = gateway.count('POST', '/v1/clients');
  await escrowOne(client);
  await client.drain({ timeoutMs: 90_000 });
  expect(gateway.count('POST', '/v1/clients')).toBe(registrations);
  await client.close();
});
