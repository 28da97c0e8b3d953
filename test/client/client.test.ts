import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  ledgerSecrets,
  MemoryStateStore,
  MpeClient,
  randomRecoveryPassword,
  simulate,
  type ClientEvent,
  type EnrolOptions,
} from '../../src/client/index.js';
import { isMpeError } from '../../src/ops/errors.js';
import { guidToBytes, newGuid } from '../../src/protocol/guid.js';
import { tempFolder } from '../support/temp.js';
import { LiveSite } from './live-site.js';

let site: LiveSite;
beforeAll(async () => {
  site = await LiveSite.start();
});
afterAll(() => site.stop());

const quick = { backoff: { baseMs: 20, capMs: 200 }, waitSeconds: 5 };
const YEARS = 365 * 86_400_000;

function enrolment(more: Partial<EnrolOptions> = {}): EnrolOptions {
  return {
    ...quick,
    url: site.url,
    enrolmentToken: site.enrolmentToken,
    state: new MemoryStateStore(),
    ...more,
  };
}

const oneVolume = (recoveryPassword = randomRecoveryPassword()) => {
  const [volumeId, keyId] = [newGuid(), newGuid()];
  return {
    volumeId,
    keyId,
    volumes: [{ volumeId, volumeType: 'OS' as const, protectors: [{ keyId, recoveryPassword }] }],
  };
};

test('a recovery key is safe only after the verified reply lists its key ID', async () => {
  const client = await MpeClient.enrol(enrolment());
  const { volumeId, keyId, volumes } = oneVolume();
  await client.escrow(volumes);
  expect(client.isSafe(volumeId, keyId)).toBe(false);
  const report = await client.drain({ timeoutMs: 90_000 });
  expect(report.settled.map((one) => one.disposition)).toEqual(['COMMITTED']);
  expect(client.isSafe(`{${volumeId.toUpperCase()}}`, keyId)).toBe(true);
  expect(client.isSafe(volumeId, newGuid())).toBe(false);
  expect(client.isSafe(newGuid(), keyId)).toBe(false);
  await client.close();
});

test('PARTIAL: what is committed is forgotten, what is refused is held until it is corrected', async () => {
  const state = new MemoryStateStore();
  const client = await MpeClient.enrol(enrolment({ state }));
  const { volumeId, keyId } = oneVolume();
  const [good, bad] = [randomRecoveryPassword(), '111111-222222-333333-444444-555555-666666-777777-888888'];
  const badKeyId = newGuid();
  const protectors = (second: string) => [
    { keyId, recoveryPassword: good },
    { keyId: badKeyId, recoveryPassword: second },
  ];
  await client.escrow([{ volumeId, volumeType: 'FIXED', protectors: protectors(bad) }]);
  const first = await client.drain({ timeoutMs: 90_000 });
  expect(first.settled[0]).toMatchObject({ disposition: 'PARTIAL', reason: 'ITEMS_REJECTED' });
  expect(client.isSafe(volumeId, keyId)).toBe(true);
  expect(client.isSafe(volumeId, badKeyId)).toBe(false);
  expect(client.held()).toMatchObject([
    { keyId: badKeyId, reason: 'RECOVERY_PASSWORD_INVALID', badGroup: 7, recoveryPassword: bad },
  ]);
  expect(await state.read()).not.toContain(good);

  await client.escrow([{ volumeId, volumeType: 'FIXED', protectors: protectors(randomRecoveryPassword()) }]);
  await client.drain({ timeoutMs: 90_000 });
  expect(client.isSafe(volumeId, badKeyId)).toBe(true);
  expect(client.held()).toEqual([]);
  await client.close();
});

test('a message whose every item is refused ends, and its secret stays held until released', async () => {
  const client = await MpeClient.enrol(enrolment());
  const { keyId, volumes } = oneVolume('no password');
  await client.escrow(volumes);
  const { settled, pending } = await client.drain({ timeoutMs: 90_000 });
  expect(settled[0]).toMatchObject({ disposition: 'REJECTED', reason: 'ALL_ITEMS_REJECTED' });
  expect(pending).toBe(0);
  expect(client.held().map((one) => one.keyId)).toEqual([keyId]);
  await client.release(keyId);
  expect(client.held()).toEqual([]);
  await client.close();
});

test('the state file is private, holds a password until it is committed, and not after', async () => {
  const folder = join(tempFolder(), 'client');
  const client = await MpeClient.enrol(enrolment({ state: folder }));
  const password = randomRecoveryPassword();
  const packed = Buffer.from(password).toString('base64').slice(4, 40);
  const file = join(folder, 'client.json');
  const payloads = (): string =>
    (JSON.parse(readFileSync(file, 'utf8')) as { messages: { payload: string }[] }).messages
      .map((one) => Buffer.from(one.payload, 'base64').toString('latin1'))
      .join();
  await client.escrow(oneVolume(password).volumes);
  expect(payloads()).toContain(password);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8')).not.toContain(site.enrolmentToken.split('.')[3]);
  await client.drain({ timeoutMs: 90_000 });
  expect(payloads()).not.toContain(password);
  expect(readFileSync(file, 'utf8')).not.toContain(packed);
  await client.close();
});

test('a second client on the same state is refused until the first is closed', async () => {
  const folder = join(tempFolder(), 'client');
  const client = await MpeClient.enrol(enrolment({ state: folder }));
  await expect(MpeClient.load(folder)).rejects.toMatchObject({ code: 'STATE_LOCKED' });
  await client.close();
  const again = await MpeClient.load(folder);
  expect(again.clientId).toBe(client.clientId);
  await again.close();
});

test('enrolling again goes on with the same client; an interrupted enrolment with the same request', async () => {
  const folder = join(tempFolder(), 'client');
  await site.stopWorker();
  const interrupted = MpeClient.enrol(
    enrolment({ state: folder, registrationTimeoutMs: 300, waitSeconds: 0 }),
  );
  await expect(interrupted).rejects.toMatchObject({ code: 'UNREACHABLE' });
  const { clientId } = JSON.parse(readFileSync(join(folder, 'client.json'), 'utf8')) as { clientId: string };
  await expect(MpeClient.load(folder)).rejects.toMatchObject({ code: 'STATE_INVALID' });
  await site.startWorker();
  const client = await MpeClient.enrol(enrolment({ state: folder }));
  expect(client.clientId).toBe(clientId);
  await client.close();
  const again = await MpeClient.enrol(enrolment({ state: folder }));
  expect(again.clientId).toBe(clientId);
  expect(again.epoch).toBe(1);
  await again.close();
});

test('a used-up or unknown enrolment token is refused with its reason', async () => {
  const unknown = `${site.enrolmentToken.split('.').slice(0, 3).join('.')}.${'A'.repeat(43)}`;
  await expect(MpeClient.enrol(enrolment({ enrolmentToken: unknown }))).rejects.toMatchObject({
    code: 'REGISTRATION_REFUSED',
    facts: { reason: 'TOKEN_REFUSED' },
  });
});

test('a lost reply: the same message is sent again, answered ALREADY_COMMITTED, and the key is safe', async () => {
  const state = new MemoryStateStore();
  const client = await MpeClient.enrol(enrolment({ state }));
  const { volumeId, keyId, volumes } = oneVolume();
  await client.escrow(volumes);
  const before = await state.read();
  await client.drain({ timeoutMs: 90_000 });
  await client.escrow(oneVolume().volumes);
  await client.drain({ timeoutMs: 90_000 });
  await client.close();

  // The machine is restored from an image of before the reply: an old state with the same message.
  await state.write(() => before ?? '');
  const restored = await MpeClient.load(state, quick);
  expect(restored.nextSequence).toBe(2n);
  const report = await restored.drain({ timeoutMs: 90_000 });
  expect(report.settled.map((one) => one.disposition)).toEqual(['ALREADY_COMMITTED']);
  expect(restored.isSafe(volumeId, keyId)).toBe(true);
  // Sequence 2 was used by the state that is lost; the reply tells the highest one.
  expect(restored.nextSequence).toBe(3n);
  await restored.close();
});

test.each([-10, 10])('a clock that is off by %i years changes nothing but warnings', async (years) => {
  const events: ClientEvent[] = [];
  const client = await MpeClient.enrol(
    enrolment({ now: () => Date.now() + years * YEARS, onEvent: (event) => events.push(event) }),
  );
  const { volumeId, keyId, volumes } = oneVolume();
  await client.escrow(volumes);
  await client.drain({ timeoutMs: 90_000 });
  expect(client.isSafe(volumeId, keyId)).toBe(true);
  expect(Math.abs(client.serverTimeMs - Date.now())).toBeLessThan(60_000);
  if (years < 0) expect(events.map((one) => one.event)).toContain('client.tls-dates');
  expect(events.map((one) => one.event)).not.toContain('client.site-document-expired');
  await client.close();
});

test('packages too large for one message are spread, each message listing all key IDs', async () => {
  const client = await MpeClient.enrol(enrolment());
  const volumeId = newGuid();
  const protectors = Array.from({ length: 8 }, () => ({
    keyId: newGuid(),
    recoveryPassword: randomRecoveryPassword(),
    keyPackage: Buffer.alloc(16 * 1024, 7),
  }));
  const ids = await client.escrow([{ volumeId, volumeType: 'OS', protectors }]);
  expect(ids.length).toBeGreaterThan(1);
  const { settled } = await client.drain({ timeoutMs: 90_000 });
  expect(new Set(settled.map((one) => one.keys.length))).toEqual(new Set([8]));
  expect(protectors.map((one) => client.isSafe(volumeId, one.keyId))).toEqual(protectors.map(() => true));
  await client.close();
});

test('every body gets its verified answer', async () => {
  const client = await MpeClient.enrol(enrolment());
  await client.escrowTpm(Buffer.alloc(20, 1));
  await client.escrowTpm();
  await client.checkIn({
    machineName: 'GERÄT-ß-电脑-🍌',
    domain: 'CORP',
    users: [{ domain: 'CORP', name: 'amália' }],
    volumes: [{ volumeId: newGuid(), volumeType: 'OS', keyIds: [newGuid()] }],
  });
  await client.reportRotation({ requestId: newGuid(), outcome: 'ADDED', newKeyId: newGuid() });
  const { settled, pending } = await client.drain({ timeoutMs: 90_000 });
  expect(pending).toBe(0);
  expect(settled.map((one) => `${one.bodyType} ${one.disposition} ${one.reason}`).sort()).toEqual([
    'CHECK_IN COMMITTED NONE',
    'ESCROW_TPM_OWNER_AUTH COMMITTED NONE',
    'ESCROW_TPM_OWNER_AUTH COMMITTED NONE',
    'ROTATION_RESULT REJECTED ROTATION_REQUEST_UNKNOWN',
  ]);
  await client.close();
});

test('a message that the site must hold malformed is answered sealed, and ends', async () => {
  const client = await MpeClient.enrol(enrolment());
  const protectors = Array.from({ length: 9 }, () => ({ keyId: guidToBytes(newGuid()) }));
  await client.compose({
    type: 'ESCROW_RECOVERY_KEYS',
    volumes: [
      { volumeId: guidToBytes(newGuid()), volumeType: 'OS', driveLabel: '', protection: 'ON', protectors },
    ],
  });
  const { settled } = await client.drain({ timeoutMs: 90_000 });
  expect(settled[0]).toMatchObject({ disposition: 'REJECTED', reason: 'MALFORMED' });
  await client.close();
});

test('messages made while the queue has no worker are asked for, and end when it comes', async () => {
  const events: ClientEvent[] = [];
  const client = await MpeClient.enrol(enrolment({ waitSeconds: 0, onEvent: (e) => events.push(e) }));
  await site.stopWorker();
  const { volumeId, keyId, volumes } = oneVolume();
  await client.escrow(volumes);
  const asked = (): boolean => events.some((one) => one.event === 'client.message-sent' && one.how === 'GET');
  do expect(await client.drain({ timeoutMs: 200 })).toEqual({ settled: [], pending: 1 });
  while (!asked());
  expect(client.isSafe(volumeId, keyId)).toBe(false);
  expect(client.pending()[0]?.lastSaid).toBe('unsealed QUEUED');
  await site.startWorker();
  await client.drain({ timeoutMs: 90_000 });
  expect(client.isSafe(volumeId, keyId)).toBe(true);
  await client.close();
});

test('a renewed key starts a new epoch, and a message made before it is still taken', async () => {
  const client = await MpeClient.enrol(enrolment());
  const { volumeId, keyId, volumes } = oneVolume();
  await client.escrow(volumes);
  await client.renewKey();
  expect(client.epoch).toBe(2);
  const { settled } = await client.drain({ timeoutMs: 90_000 });
  expect(settled.map((one) => one.disposition)).toEqual(['COMMITTED']);
  expect(client.isSafe(volumeId, keyId)).toBe(true);
  await client.close();
});

test('a simulation knows every key that its clients were told is committed', async () => {
  const ledger = await simulate({
    ...quick,
    url: site.url,
    enrolmentToken: site.enrolmentToken,
    clients: 3,
    messagesPerClient: 5,
    keysPerMessage: 2,
    timeoutMs: 120_000,
    password: (client, message) => (client === 0 && message === 0 ? 'not a password' : undefined),
  });
  expect(ledger.counts).toMatchObject({ COMMITTED: 14, REJECTED: 1, UNANSWERED: 0 });
  expect(ledger.entries).toHaveLength(15);
  expect(ledgerSecrets(ledger).size).toBe(28);
});

test('a damaged state file is refused, not replaced', async () => {
  const state = new MemoryStateStore();
  await state.write(() => '{"format":1}');
  const failure = await MpeClient.enrol(enrolment({ state })).catch((error: unknown) => error);
  expect(isMpeError(failure, 'STATE_INVALID')).toBe(true);
  expect(await state.read()).toBe('{"format":1}');
});
