import { randomUUID, X509Certificate } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  MemoryStateStore,
  MpeClient,
  randomRecoveryPassword,
  type ClientEvent,
  type ClientOptions,
  type EnrolOptions,
} from '../../src/client/index.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import { LiveSite } from '../client/live-site.js';
import { DeviceIssuer } from '../support/device-issuer.js';
import { TestCa, type LeafOptions, type TestCertificate } from '../support/pki.js';
import { tempFolder } from '../support/temp.js';

// The life of a client whose channel is a certificate or a device token, through a real gateway, queue, worker
// and database: registration, messages, renewal, and an end in the middle of it. Whatever the end, the client
// asks once per back-off, never registers by itself, and keeps what it has; a good identity later delivers it.

/** So long that within a test a client that backs off asks once. */
const ONCE = { baseMs: 600_000, capMs: 600_000 } as const;
const QUICK = { baseMs: 100, capMs: 400 } as const;
/** How long what must come may take on a busy machine. */
const PATIENCE_MS = 120_000;
/** For what must not come: nothing depends on how much of it a machine makes use of. */
const A_MOMENT_MS = 500;

let site: LiveSite;
let ca: TestCa;
let issuer: DeviceIssuer;
let crlFile: string;
const [byCertificate, byToken, stranger] = [newGuid(), newGuid(), newGuid()];
const events: ClientEvent[] = [];
let onRefusal: () => void = () => undefined;

beforeAll(async () => {
  const folder = tempFolder('mpe-client-channels-');
  ca = await TestCa.create('CN=Client Root');
  crlFile = join(folder, 'ca.crl');
  writeFileSync(join(folder, 'ca.pem'), ca.pem);
  writeFileSync(crlFile, await ca.crl([]));
  const tenant = newGuid();
  issuer = await DeviceIssuer.start(ca, tenant, [byToken]);
  site = await LiveSite.start({
    MPE_GATEWAY_AUTH: 'client-certificate,entra',
    MPE_GATEWAY_CLIENT_CA: join(folder, 'ca.pem'),
    MPE_GATEWAY_CLIENT_CRL: crlFile,
    MPE_GATEWAY_ENTRA_TENANT: tenant,
    MPE_GATEWAY_ENTRA_AUDIENCE: issuer.audience,
    MPE_GATEWAY_ENTRA_ISSUER: issuer.url,
    MPE_GATEWAY_ENTRA_KEYS_URL: issuer.keysUrl,
    MPE_GATEWAY_ENTRA_CA: join(folder, 'ca.pem'),
  });
});
afterAll(async () => {
  await site.stop();
  await issuer.stop();
});

const common = (): ClientOptions => ({
  // Long enough for every answer: one that is late is another reason to back off than those looked for.
  ...{ backoff: QUICK, waitSeconds: 30, timeoutMs: 60_000 },
  onEvent: (event) => {
    events.push(event);
    if (event.event === 'client.backing-off') onRefusal();
  },
});

const enrol = (more: Partial<EnrolOptions>): Promise<MpeClient> =>
  MpeClient.enrol({
    ...common(),
    url: site.url,
    enrolmentToken: site.enrolmentToken,
    state: new MemoryStateStore(),
    ...more,
  });

const shown = ({ pem, keyPem }: TestCertificate) => ({ certificate: { cert: pem, key: keyPem } });

/** A new key of a new volume; the ids under which it is asked about. */
async function escrowOne(client: MpeClient): Promise<readonly [Guid, Guid]> {
  const [volumeId, keyId] = [newGuid(), newGuid()];
  const protectors = [{ keyId, recoveryPassword: randomRecoveryPassword() }];
  await client.escrow([{ volumeId, volumeType: 'OS', protectors }]);
  return [volumeId, keyId];
}

async function delivers(client: MpeClient): Promise<void> {
  const key = await escrowOne(client);
  const { settled, pending } = await client.drain({ timeoutMs: PATIENCE_MS });
  expect(settled.map(({ disposition }) => disposition)).toContain('COMMITTED');
  expect(pending).toBe(0);
  expect(client.isSafe(...key)).toBe(true);
}

/** Makes a message that must not go out, and says what the client did meanwhile. */
async function isRefused(client: MpeClient, code: string, sends: number): Promise<readonly [Guid, Guid]> {
  events.length = 0;
  const key = await escrowOne(client);
  const refused = new AbortController();
  onRefusal = () => refused.abort();
  await client.drain({ timeoutMs: PATIENCE_MS, signal: refused.signal });
  // The next question is due in a minute or more.
  const { settled, pending } = await client.drain({ timeoutMs: A_MOMENT_MS });
  expect(settled).toEqual([]);
  expect(pending).toBe(1);
  expect(client.isSafe(...key)).toBe(false);
  const names = events.map(({ event }) => event);
  // The end is said by its name, and it is an end: no loop, no registration, no other identity.
  expect(events.flatMap((one) => (one.event === 'client.backing-off' ? [one.why] : []))).toEqual([
    expect.stringContaining(code),
  ]);
  expect(names.filter((name) => name === 'client.message-sent')).toHaveLength(sends);
  expect(names).not.toContain('client.registered');
  expect(names).not.toContain('client.token-obtained');
  return key;
}

/** Sends what waited. */
async function deliversWhatWaited(client: MpeClient, key: readonly [Guid, Guid]): Promise<void> {
  const { settled, pending } = await client.drain({ timeoutMs: PATIENCE_MS });
  expect(settled.map(({ disposition }) => disposition)).toEqual(['COMMITTED']);
  expect(pending).toBe(0);
  expect(client.isSafe(...key)).toBe(true);
}

const epochs = async (clientId: Guid): Promise<readonly number[]> =>
  (await site.store.findClient(clientId))?.keys.map(({ epoch }) => epoch) ?? [];

describe('a client with a certificate', () => {
  const state = new MemoryStateStore();
  const issue = (more: Partial<LeafOptions> = {}): Promise<TestCertificate> =>
    ca.issue({ cn: byCertificate, ...more });
  const load = (certificate: TestCertificate, more: ClientOptions = {}): Promise<MpeClient> =>
    MpeClient.load(state, { ...common(), ...shown(certificate), ...more });
  let first: TestCertificate;
  let renewed: TestCertificate;
  let last: TestCertificate;

  /** Revoked from the next request on, once this is back. */
  async function revoke(...certificates: readonly TestCertificate[]): Promise<void> {
    // As an operator's job does it: the new list takes the old one's place at once.
    const temporary = `${crlFile}.${randomUUID()}`;
    writeFileSync(temporary, await ca.crl(certificates.map(({ serial }) => serial)));
    renameSync(temporary, crlFile);
    // As another machine than it names: while the certificate is still good, that registers nothing.
    const probe = { ...shown(certificates[0]!), clientId: newGuid(), registrationTimeoutMs: 1 };
    await expect
      .poll(() => enrol(probe).then(async (one) => one.close().then(() => 'taken'), String), {
        timeout: PATIENCE_MS,
      })
      .toContain('CERTIFICATE_REFUSED');
  }

  test('registers the id that it names, and the site remembers which certificate it was', async () => {
    first = await issue();
    const client = await enrol({ ...shown(first), clientId: byCertificate, state });
    expect(client.clientId).toBe(byCertificate);
    await delivers(client);
    const { keys } = (await site.store.findClient(byCertificate))!;
    expect(keys[0]?.channel?.kind).toBe('client-certificate');
    await client.close();
  });

  test('goes on with a renewed certificate, of the same key or of a new one, without registering', async () => {
    const sameKey = await issue({ key: first.key });
    expect(new X509Certificate(sameKey.pem).serialNumber).not.toBe(
      new X509Certificate(first.pem).serialNumber,
    );
    renewed = await issue();
    for (const certificate of [sameKey, renewed]) {
      const client = await load(certificate);
      await delivers(client);
      await client.close();
    }
    expect(await epochs(byCertificate)).toEqual([1]);
  });

  test('renews its signing key over the renewed certificate: a new epoch', async () => {
    const client = await load(renewed);
    await client.renewKey();
    await delivers(client);
    await client.close();
    expect(await epochs(byCertificate)).toEqual([1, 2]);
  });

  test('revoked in the middle: told so once, nothing is lost, and it asks no further', async () => {
    // Connected, and in the middle of its life: what stands is ended too.
    const client = await load(renewed, { backoff: ONCE });
    await delivers(client);
    await revoke(renewed);
    const key = await isRefused(client, 'CERTIFICATE_REFUSED', 1);
    await client.close();

    // A new certificate of the same machine delivers what waited, by the same registration.
    last = await issue();
    const again = await load(last);
    expect(again.pending()).toHaveLength(1);
    await deliversWhatWaited(again, key);
    await again.close();
    expect(await epochs(byCertificate)).toEqual([1, 2]);
  });

  test('a revoked certificate renews no signing key, and a new machine cannot come by it', async () => {
    const client = await load(renewed);
    await expect(client.renewKey(500)).rejects.toThrow(/CERTIFICATE_REFUSED/);
    await client.close();
    expect(await epochs(byCertificate)).toEqual([1, 2]);
    // The renewal that could not be sent is finished by the certificate that is good.
    const again = await load(last);
    await delivers(again);
    await expect.poll(() => epochs(byCertificate), { timeout: PATIENCE_MS }).toEqual([1, 2, 3]);
    await again.close();
  });

  test('of a CA that the site does not know is refused in the same way', async () => {
    const other = await TestCa.create('CN=Another Root');
    const certificate = await other.issue({ cn: byCertificate });
    const client = await load(certificate, { backoff: ONCE });
    const key = await isRefused(client, 'CERTIFICATE_REFUSED', 1);
    await client.close();
    const again = await load(last);
    await deliversWhatWaited(again, key);
    await again.close();
  });

  test('that names another client carries no message of this one', async () => {
    const certificate = await ca.issue({ cn: stranger });
    const client = await load(certificate, { backoff: ONCE });
    await isRefused(client, 'CLIENT_MISMATCH', 1);
    await client.close();
    expect(await site.store.findClient(stranger)).toBeNull();
  });
});

describe('a client with a device token', () => {
  const state = new MemoryStateStore();
  let text = '';
  let reads = 0;
  const deviceToken = (): string => {
    reads += 1;
    return text;
  };
  const load = (more: ClientOptions = {}): Promise<MpeClient> =>
    MpeClient.load(state, { ...common(), deviceToken, ...more });

  test('registers the device that it names, and goes on when its tokens are renewed', async () => {
    text = await issuer.token(byToken, ca.pem);
    const client = await enrol({ deviceToken, clientId: byToken, state });
    await delivers(client);
    const { keys } = (await site.store.findClient(byToken))!;
    expect(keys[0]?.channel?.kind).toBe('entra');
    // The tenant changes its key: the token that is held is refused, and the new one is read.
    issuer.rotate('key-2');
    text = await issuer.token(byToken, ca.pem);
    await client.close();
    const again = await load();
    await delivers(again);
    await again.close();
    expect(await epochs(byToken)).toEqual([1]);
  });

  test('whose tokens have ended: read anew once, told so, nothing is lost, no loop', async () => {
    text = issuer.forge(byToken, { exp: Math.floor(Date.now() / 1000) - 3600 });
    const client = await load({ backoff: ONCE });
    reads = 0;
    const key = await isRefused(client, 'DEVICE_TOKEN_INVALID', 2);
    expect(reads).toBe(2);
    await client.close();
    text = await issuer.token(byToken, ca.pem);
    const again = await load();
    await deliversWhatWaited(again, key);
    await again.close();
    expect(await epochs(byToken)).toEqual([1]);
  });

  test('renews its signing key by the old one', async () => {
    const client = await load();
    await client.renewKey();
    await delivers(client);
    await client.close();
    expect(await epochs(byToken)).toEqual([1, 2]);
  });
});
