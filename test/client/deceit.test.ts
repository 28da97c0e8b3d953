import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  MemoryStateStore,
  MpeClient,
  randomRecoveryPassword,
  type ClientEvent,
  type EnrolOptions,
} from '../../src/client/index.js';
import { generatePrivateKey, publicPart, sealReply, signSiteDocument } from '../../src/jose/index.js';
import { decodeEnvelope } from '../../src/protocol/envelope.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import type { PrivateJwk } from '../../src/protocol/jwk.js';
import { decodeMessageReply, encodeMessageReply } from '../../src/protocol/message-reply.js';
import type { SiteDocument } from '../../src/protocol/site-document.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import { createSiteTls } from '../../src/secrets/site-ca.js';
import { expiredTls } from './expired-tls.js';
import { LiveSite } from './live-site.js';
import { StolenGateway, type ShownTls } from './stolen-gateway.js';

let site: LiveSite;
let siteTls: ShownTls;
let rootKey: PrivateJwk;
let gateway: StolenGateway;
let events: ClientEvent[];

beforeAll(async () => {
  site = await LiveSite.start();
  const folder = await openKeyFolder(site.keysDir, 'operator');
  siteTls = folder.tls();
  rootKey = folder.rootKey();
});
afterAll(() => site.stop());

beforeEach(async () => {
  events = [];
  // The worst case: the attacker has the site's own TLS key.
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

const saw = (name: ClientEvent['event']): number => events.filter((one) => one.event === name).length;

async function escrowOne(client: MpeClient): Promise<{ volumeId: Guid; keyId: Guid; messageId: Guid }> {
  const [volumeId, keyId] = [newGuid(), newGuid()];
  const [messageId] = await client.escrow([
    { volumeId, volumeType: 'OS', protectors: [{ keyId, recoveryPassword: randomRecoveryPassword() }] },
  ]);
  return { volumeId, keyId, messageId: messageId! };
}

/**
 * Drains until the lie has been told often enough: nothing may come of it. Then the gateway is
 * honest again, and all ends well.
 */
async function notFooled(
  client: MpeClient,
  ids: { volumeId: Guid; keyId: Guid },
  toldEnough: () => boolean = () => saw('client.backing-off') > 0,
): Promise<void> {
  do {
    expect(await client.drain({ timeoutMs: 200 })).toEqual({ settled: [], pending: 1 });
    expect(client.isSafe(ids.volumeId, ids.keyId)).toBe(false);
  } while (!toldEnough());
  gateway.lie = () => null;
  await client.drain({ timeoutMs: 90_000 });
  expect(client.isSafe(ids.volumeId, ids.keyId)).toBe(true);
}

const committed = (messageId: Guid, sealedReply: string) => ({
  status: 200,
  headers: { 'content-type': 'application/protobuf' },
  body: encodeMessageReply({
    messageId,
    disposition: 'COMMITTED',
    reason: 'NONE',
    retry: 'NONE',
    retryAfterSeconds: 0,
    sealedReply,
  }),
});

test('a COMMITTED without a sealed reply changes nothing', async () => {
  const client = await MpeClient.enrol(enrolment());
  const ids = await escrowOne(client);
  gateway.lie = ({ path }) => (path.startsWith('/v1/messages') ? committed(ids.messageId, '') : null);
  await notFooled(client, ids);
  expect(saw('client.advice')).toBeGreaterThan(0);
  await client.close();
});

test('a COMMITTED sealed under a key that is not the reply key changes nothing', async () => {
  const client = await MpeClient.enrol(enrolment());
  const ids = await escrowOne(client);
  const forged = await sealReply(randomBytes(200), randomBytes(32), ids.messageId);
  gateway.lie = ({ path }) => (path.startsWith('/v1/messages') ? committed(ids.messageId, forged) : null);
  await notFooled(client, ids);
  expect(saw('client.reply-refused')).toBeGreaterThan(0);
  await client.close();
});

test('the genuine sealed reply of another message changes nothing', async () => {
  const client = await MpeClient.enrol(enrolment());
  let genuine = '';
  gateway.lie = async ({ method, path }, real) => {
    if (method !== 'POST' || path !== '/v1/messages') return null;
    const answer = await real();
    genuine = decodeMessageReply(answer.body!).sealedReply;
    return answer;
  };
  await escrowOne(client);
  await client.drain({ timeoutMs: 90_000 });
  expect(genuine).not.toBe('');

  const ids = await escrowOne(client);
  gateway.lie = ({ path }) => (path.startsWith('/v1/messages') ? committed(ids.messageId, genuine) : null);
  await notFooled(client, ids);
  expect(saw('client.reply-refused')).toBeGreaterThan(0);
  await client.close();
});

test('answers that say never, new message, 403 or 404 drop nothing', async () => {
  const client = await MpeClient.enrol(enrolment());
  const ids = await escrowOne(client);
  const lies = [
    { status: 200, reason: 'ROTATION_REQUEST_UNKNOWN', retry: 'NEVER' },
    { status: 200, reason: 'CANNOT_OPEN', retry: 'NEW_MESSAGE' },
    { status: 403, reason: 'NONE', retry: 'NEVER' },
    { status: 404, reason: 'NONE', retry: 'NEVER' },
    { status: 400, reason: 'NONE', retry: 'NEVER' },
  ] as const;
  let turn = 0;
  gateway.lie = ({ path }) => {
    if (!path.startsWith('/v1/messages')) return null;
    const { status, reason, retry } = lies[turn++ % lies.length]!;
    const body = encodeMessageReply({
      ...{ messageId: ids.messageId, disposition: 'REJECTED', reason, retry },
      ...{ retryAfterSeconds: 0, sealedReply: '' },
    });
    return { status, body, headers: { 'content-type': 'application/protobuf' } };
  };
  await notFooled(client, ids, () => turn >= 2 * lies.length);
  expect(gateway.count('POST', '/v1/clients')).toBe(1);
  await client.close();
});

test('garbage, cut and oversized answers change nothing', async () => {
  const client = await MpeClient.enrol(enrolment());
  const ids = await escrowOne(client);
  const bodies = [randomBytes(50), Buffer.alloc(0), Buffer.alloc(2 * 1024 * 1024, 1), Buffer.from('<html>')];
  let turn = 0;
  gateway.lie = ({ path }) =>
    path.startsWith('/v1/messages')
      ? {
          status: 200,
          body: bodies[turn++ % bodies.length]!,
          headers: { 'content-type': 'application/protobuf' },
        }
      : null;
  await notFooled(client, ids, () => turn >= 2 * bodies.length);
  await client.close();
});

test('401 for ever: one new token an attempt, then back-off; never another registration', async () => {
  const client = await MpeClient.enrol(enrolment());
  const ids = await escrowOne(client);
  gateway.lie = ({ path }) => (path.startsWith('/v1/messages') ? { status: 401 } : null);
  await notFooled(client, ids, () => saw('client.backing-off') >= 3);
  // Each attempt sent twice: with the token at hand, and once with a new one. The last was honest.
  const attempts = saw('client.backing-off');
  expect(gateway.count('POST', '/v1/messages')).toBe(2 * attempts + 1);
  expect(gateway.count('POST', '/v1/token')).toBe(2 * attempts + 1);
  expect(gateway.count('POST', '/v1/clients')).toBe(1);
  await client.close();
});

test('one 401 costs one new token and no back-off', async () => {
  const client = await MpeClient.enrol(enrolment());
  const ids = await escrowOne(client);
  let first = true;
  gateway.lie = ({ method, path }) => {
    if (method !== 'POST' || path !== '/v1/messages' || !first) return null;
    first = false;
    return { status: 401 };
  };
  await client.drain({ timeoutMs: 90_000 });
  expect(client.isSafe(ids.volumeId, ids.keyId)).toBe(true);
  expect(saw('client.token-obtained')).toBe(2);
  expect(saw('client.backing-off')).toBe(0);
  await client.close();
});

test('a token that is refused at its source is no reason to register', async () => {
  const client = await MpeClient.enrol(enrolment());
  const ids = await escrowOne(client);
  gateway.lie = ({ path }) => (path === '/v1/token' ? { status: 401 } : null);
  await notFooled(client, ids);
  expect(gateway.count('POST', '/v1/clients')).toBe(1);
  await client.close();
});

test('Retry-After is honoured', async () => {
  const client = await MpeClient.enrol(enrolment());
  await escrowOne(client);
  gateway.lie = ({ path }) =>
    path.startsWith('/v1/messages') ? { status: 503, headers: { 'retry-after': '7' } } : null;
  await client.pump();
  const waits = events.flatMap((one) => (one.event === 'client.backing-off' ? [one.delayMs] : []));
  expect(waits).toHaveLength(1);
  expect(waits[0]).toBeGreaterThanOrEqual(7000);
  await client.close();
});

test('a server with a CA of its own is refused at enrolment, though it has the true site document', async () => {
  const { keyPem, chainPem } = await createSiteTls(newGuid(), ['localhost', '127.0.0.1'], Date.now());
  const impostor = await StolenGateway.start({ key: keyPem, cert: chainPem }, site.url);
  await expect(MpeClient.enrol(enrolment({ url: impostor.url }))).rejects.toMatchObject({
    code: 'NOT_AUTHENTIC',
  });
  // The enrolment token's secret never left.
  expect(impostor.seen.map((one) => one.path)).toEqual(['/v1/site']);
  await impostor.stop();
});

test('a leaf that its CA did not sign is refused, though the chain shows the true CA', async () => {
  const forged = await createSiteTls(newGuid(), ['localhost', '127.0.0.1'], Date.now());
  const leaf = forged.chainPem.slice(0, forged.chainPem.indexOf('-----END CERTIFICATE-----') + 26);
  const ca = (await openKeyFolder(site.keysDir, 'gateway')).tls().ca;
  const impostor = await StolenGateway.start({ key: forged.keyPem, cert: `${leaf}${ca}` }, site.url);
  await expect(MpeClient.enrol(enrolment({ url: impostor.url }))).rejects.toMatchObject({
    code: 'NOT_AUTHENTIC',
  });
  await impostor.stop();
});

test('a server that takes the place of the gateway later gets no byte of a request', async () => {
  const state = new MemoryStateStore();
  const client = await MpeClient.enrol(enrolment({ state }));
  const ids = await escrowOne(client);
  const { keyPem, chainPem } = await createSiteTls(newGuid(), ['localhost', '127.0.0.1'], Date.now());
  const impostor = await StolenGateway.start({ key: keyPem, cert: chainPem }, site.url);
  await client.close();
  const text = (await state.read())!.replace(gateway.url, impostor.url);
  await state.write(() => text);
  const moved = await MpeClient.load(state, enrolment());
  while (saw('client.site-document-refused') === 0) {
    expect(await moved.drain({ timeoutMs: 200 })).toEqual({ settled: [], pending: 1 });
  }
  expect(moved.isSafe(ids.volumeId, ids.keyId)).toBe(false);
  // It looked for a new CA in the signed document, and refused what it found.
  expect(new Set(impostor.seen.map((one) => one.path))).toEqual(new Set(['/v1/site']));
  await moved.close();
  await impostor.stop();
});

/** The site's document with an attacker's sealing key in it. */
async function swapped(document: SiteDocument, version: number): Promise<SiteDocument> {
  return {
    ...document,
    version,
    sealingKeys: [publicPart(await generatePrivateKey('RSA-OAEP-256', 2048))],
  };
}

const serveSite =
  (jws: string) =>
  ({ path }: { readonly path: string }) =>
    path === '/v1/site'
      ? { status: 200, body: Buffer.from(jws), headers: { 'content-type': 'application/jose' } }
      : null;

test('a swapped sealing key is refused: another root, an old signature, a lower version', async () => {
  const client = await MpeClient.enrol(enrolment());
  const held = client.site;
  const otherRoot = await generatePrivateKey('ES256');
  const evil = await swapped(held, 99);
  const byOther = await signSiteDocument({ ...evil, rootKey: publicPart(otherRoot) }, otherRoot);
  const { jws } = await site.store.readSiteDocument();
  const [header, , signature] = jws.split('.');
  const grafted = `${header!}.${Buffer.from(JSON.stringify(evil)).toString('base64url')}.${signature!}`;
  const lower = await signSiteDocument(await swapped(held, held.version - 1 || 1), rootKey);

  for (const bad of [byOther, grafted]) {
    gateway.lie = serveSite(bad);
    await client.refreshSite();
    await expect(MpeClient.enrol(enrolment())).rejects.toMatchObject({ code: 'NOT_AUTHENTIC' });
  }
  expect(saw('client.site-document-refused')).toBe(2);
  expect(client.site).toEqual(held);

  // A rise is taken, and then the old version is refused.
  gateway.lie = serveSite(await signSiteDocument({ ...held, version: 7 }, rootKey));
  await client.refreshSite();
  expect(client.site.version).toBe(7);
  gateway.lie = serveSite(lower);
  await client.refreshSite();
  expect(client.site).toEqual({ ...held, version: 7 });

  const ids = await escrowOne(client);
  await client.drain({ timeoutMs: 90_000 });
  const sent = gateway.seen.find((one) => one.method === 'POST' && one.path === '/v1/messages')!;
  expect(headerKid(decodeEnvelope(sent.body).sealed)).toBe(held.sealingKeys[0]!.kid);
  expect(client.isSafe(ids.volumeId, ids.keyId)).toBe(true);
  await client.close();
});

/** The kid of a JWE, unverified. */
function headerKid(token: string): unknown {
  const header: unknown = JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString());
  return (header as { kid: unknown }).kid;
}

test('a sealing key that the site does not know leaves the message pending until the document is right', async () => {
  const client = await MpeClient.enrol(enrolment());
  const honest = client.site;
  gateway.lie = serveSite(await signSiteDocument(await swapped(honest, 8), rootKey));
  await client.refreshSite();
  const ids = await escrowOne(client);
  while (client.pending()[0]?.lastSaid !== 'unsealed QUARANTINED SEALING_KEY_UNKNOWN') {
    expect(await client.drain({ timeoutMs: 200 })).toEqual({ settled: [], pending: 1 });
  }
  expect(client.isSafe(ids.volumeId, ids.keyId)).toBe(false);
  gateway.lie = serveSite(await signSiteDocument({ ...honest, version: 9 }, rootKey));
  await client.drain({ timeoutMs: 90_000 });
  expect(client.isSafe(ids.volumeId, ids.keyId)).toBe(true);
  await client.close();
});

test('the token of another site is refused before anything is sent', async () => {
  const [, , , secret] = site.enrolmentToken.split('.');
  const other = await generatePrivateKey('ES256');
  const [, guid] = site.enrolmentToken.split('.');
  const enrolmentToken = `mpe1.${guid!}.${other.kid}.${secret!}`;
  await expect(MpeClient.enrol(enrolment({ enrolmentToken }))).rejects.toMatchObject({
    code: 'NOT_AUTHENTIC',
  });
  expect(gateway.seen.map((one) => one.path)).toEqual(['/v1/site']);
});

test('plain HTTP is refused', async () => {
  await expect(MpeClient.enrol(enrolment({ url: 'http://localhost:1' }))).rejects.toMatchObject({
    code: 'USAGE',
  });
});

test('a new CA needs no new trust: the signed document names it, and expired dates only warn', async () => {
  const state = new MemoryStateStore();
  const client = await MpeClient.enrol(enrolment({ state }));
  const ids = await escrowOne(client);
  const document = client.site;
  await client.close();

  // The site's next CA; its certificates ended years ago, as for a machine whose clock runs ahead.
  const next = await expiredTls();
  const moved = await StolenGateway.start(next, site.url);
  const gatewayCaThumbprint = createHash('sha256').update(new X509Certificate(next.ca).raw).digest('hex');
  const jws = await signSiteDocument({ ...document, version: 2, gatewayCaThumbprint }, rootKey);
  moved.lie = serveSite(jws);
  const text = (await state.read())!.replace(gateway.url, moved.url);
  await state.write(() => text);

  const again = await MpeClient.load(state, enrolment());
  await again.drain({ timeoutMs: 90_000 });
  expect(again.isSafe(ids.volumeId, ids.keyId)).toBe(true);
  expect(again.site.version).toBe(2);
  expect(saw('client.tls-dates')).toBeGreaterThan(0);
  await again.close();
  await moved.stop();
});

test('a certificate of the site for another host is refused', async () => {
  const { siteGuid } = await openKeyFolder(site.keysDir, 'operator');
  const other = await createSiteTls(siteGuid, ['mp1.example.org'], Date.now());
  const impostor = await StolenGateway.start({ key: other.keyPem, cert: other.chainPem }, site.url);
  const thumb = createHash('sha256').update(new X509Certificate(other.caPem).raw).digest('hex');
  const { jws } = await site.store.readSiteDocument();
  const document = JSON.parse(Buffer.from(jws.split('.')[1]!, 'base64url').toString()) as SiteDocument;
  impostor.lie = serveSite(await signSiteDocument({ ...document, gatewayCaThumbprint: thumb }, rootKey));
  const failure = await MpeClient.enrol(enrolment({ url: impostor.url })).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'NOT_AUTHENTIC' });
  expect((failure as Error).message).toContain('mp1.example.org');
  await impostor.stop();
});
