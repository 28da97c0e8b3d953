import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  generatePrivateKey,
  issueAccessToken,
  publicPart,
  verifyAccessToken,
  verifySiteDocument,
} from '../../src/jose/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import {
  decodeNonceReply,
  decodeTokenReply,
  decodeTokenRequest,
  encodeTokenRequest,
} from '../../src/protocol/site-token.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import { nextSiteDocument } from '../../src/secrets/next-site-document.js';
import { TestRedis } from '../support/redis.js';
import { PROTOBUF, TestGateway, type TestClient } from './support.js';

let redis: TestRedis;
let site: TestGateway;
let client: TestClient;
beforeAll(async () => {
  redis = await TestRedis.start();
  site = await TestGateway.start(redis);
  client = await site.register();
});
afterAll(async () => {
  await site.close();
  await redis.stop();
});

/** The right kid, and the signature of another client's proof. */
async function wrongSignature(other: TestClient): Promise<Buffer> {
  const nonce = await site.nonce();
  const [own, foreign] = await Promise.all(
    [client, other].map(async (one) => decodeTokenRequest(await site.proof(one, { nonce })).jws.split('.')),
  );
  return encodeTokenRequest({ jws: [own![0], own![1], foreign![2]].join('.') });
}

describe('GET /v1/token/nonce', () => {
  test('gives 32 bytes that live 60 seconds, others each time', async () => {
    const answers = await Promise.all([1, 2].map(() => site.call('GET', '/v1/token/nonce')));
    const nonces = answers.map((answer) => decodeNonceReply(answer.body));
    expect(nonces.map((nonce) => nonce.lifetimeSeconds)).toEqual([60, 60]);
    expect(nonces[0]!.nonce).toHaveLength(32);
    expect(Buffer.from(nonces[0]!.nonce).equals(nonces[1]!.nonce)).toBe(false);
    expect(answers[0]!.headers['cache-control']).toBe('no-store');
  });
});

describe('POST /v1/token', () => {
  test('gives a token of at most eight hours that the site accepts', async () => {
    const answer = await site.token(await site.proof(client));
    expect(answer.status).toBe(200);
    const { accessToken, lifetimeSeconds } = decodeTokenReply(answer.body);
    expect(lifetimeSeconds).toBeLessThanOrEqual(28_800);
    const facts = await verifyAccessToken(accessToken, [publicPart(site.keyFolder.tokenKey())], {
      siteGuid: site.siteGuid,
      nowMs: Date.now(),
    });
    expect(facts).toMatchObject({ clientId: client.clientId, epoch: 1 });
    const posted = await site.call(
      'POST',
      '/v1/messages',
      { 'content-type': PROTOBUF, authorization: `Bearer ${accessToken}` },
      await site.envelope(client.clientId),
    );
    expect(posted.status).toBe(202);
  });

  test('takes a nonce once, also when the first proof was wrong', async () => {
    const good = await site.proof(client);
    expect((await site.token(good)).status).toBe(200);
    const again = await site.token(good);
    expect([again.status, again.problem]).toEqual([401, 'NONCE_INVALID']);
    const nonce = await site.nonce();
    const other = await generatePrivateKey('ES256');
    expect((await site.token(await site.proof(client, { nonce, key: other }))).problem).toBe('PROOF_INVALID');
    expect((await site.token(await site.proof(client, { nonce }))).problem).toBe('NONCE_INVALID');
  });

  test('refuses a nonce that has expired or was never issued', async () => {
    const nonce = await site.nonce();
    const raw = redis.connect();
    const key = `{mpe:${site.siteGuid.slice(0, 8)}}:nonce:${Buffer.from(nonce).toString('base64url')}`;
    expect(await raw.ttl(key)).toBeGreaterThan(0);
    await raw.pexpire(key, 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    raw.disconnect();
    expect((await site.token(await site.proof(client, { nonce }))).problem).toBe('NONCE_INVALID');
    const made = await site.token(await site.proof(client, { nonce: Buffer.alloc(32, 7) }));
    expect(made.problem).toBe('NONCE_INVALID');
  });

  test('refuses another key, the key of another client and a proof for another site', async () => {
    const other = await site.register();
    const foreign = [
      await site.proof({ clientId: client.clientId, key: other.key }),
      await site.proof(client, { key: await generatePrivateKey('ES256') }),
      await wrongSignature(other),
      await site.proof(client, { siteGuid: newGuid() }),
    ];
    for (const body of foreign) {
      const answer = await site.token(body);
      expect([answer.status, answer.problem]).toEqual([401, 'PROOF_INVALID']);
    }
  });

  test('after a new key the old one is refused, and the token carries the new epoch', async () => {
    const first = await site.register();
    const second = await site.register(first.clientId, first.key.kid);
    expect((await site.token(await site.proof(first))).problem).toBe('PROOF_INVALID');
    const { accessToken } = decodeTokenReply((await site.token(await site.proof(second))).body);
    const facts = await verifyAccessToken(accessToken, [publicPart(site.keyFolder.tokenKey())], {
      siteGuid: site.siteGuid,
      nowMs: Date.now(),
    });
    expect(facts.epoch).toBe(2);
  });

  test('tells a blocked client so, but nobody who cannot prove to be it', async () => {
    const blocked = await site.register();
    await site.store.setClientState(blocked.clientId, 'BLOCKED', 'test');
    const answer = await site.token(await site.proof(blocked));
    expect([answer.status, answer.problem]).toEqual([403, 'CLIENT_BLOCKED']);
    const stranger = await site.proof({ clientId: blocked.clientId, key: client.key });
    expect((await site.token(stranger)).problem).toBe('PROOF_INVALID');
    await site.store.setClientState(blocked.clientId, 'ACTIVE', 'test');
    expect((await site.token(await site.proof(blocked))).status).toBe(200);
  });

  test('tells an unknown client never to register anew by itself', async () => {
    const answer = await site.token(
      await site.proof({ clientId: newGuid(), key: await generatePrivateKey('ES256') }),
    );
    expect([answer.status, answer.problem]).toEqual([401, 'CLIENT_UNKNOWN']);
    expect(answer.body.toString()).toContain('never register anew');
  });

  test.each([
    ['junk', Buffer.from('junk')],
    ['nothing', Buffer.alloc(0)],
    ['no JWS', encodeTokenRequest({ jws: 'a.b.c' })],
    ['a JWS of another kind', encodeTokenRequest({ jws: `${'a'.repeat(50)}.b.c` })],
  ])('%s is a malformed request', async (_name, body) => {
    const answer = await site.token(body);
    expect([answer.status, answer.problem]).toEqual([400, 'REQUEST_MALFORMED']);
  });

  test('has a small body', async () => {
    expect((await site.token(Buffer.alloc(9000))).problem).toBe('BODY_TOO_LARGE');
  });
});

describe('GET /v1/site', () => {
  test('gives the signed document with its version as ETag, and 304 to who has it', async () => {
    const answer = await site.call('GET', '/v1/site');
    expect(answer.headers).toMatchObject({
      'content-type': 'application/jose',
      etag: '"v1"',
      'cache-control': 'public, max-age=60',
    });
    expect(answer.body.toString()).toBe((await site.store.readSiteDocument()).jws);
    const known = await site.call('GET', '/v1/site', { 'if-none-match': '"v0", W/"v1"' });
    expect([known.status, known.body.length]).toEqual([304, 0]);
    expect((await site.call('GET', '/v1/site', { 'if-none-match': '"v2"' })).status).toBe(200);
  });
});

describe('a token of another gateway', () => {
  test('under a key that a newer site document names is taken before this gateway has read it by itself', async () => {
    const current = await verifySiteDocument(
      (await site.store.readSiteDocument()).jws,
      site.keyFolder.rootThumbprint,
    );
    const other = await generatePrivateKey('ES256');
    const root = (await openKeyFolder(site.config.keysDir, 'operator')).rootKey();
    const tokenKeys = [publicPart(other), ...current.tokenKeys];
    const next = await nextSiteDocument(current, { tokenKeys }, root, Date.now());
    const ask = async (): Promise<number> => {
      const token = await issueAccessToken(
        {
          ...{ siteGuid: site.siteGuid, clientId: client.clientId, epoch: 1, lifetimeSeconds: 60 },
          nowMs: Date.now(),
        },
        other,
      );
      const authorization = `Bearer ${token}`;
      return (await site.call('GET', `/v1/messages/${newGuid()}`, { authorization })).status;
    };
    expect(await ask()).toBe(401);
    await site.store.appendSiteDocument(next.document.version, next.jws);
    // Strangers' tokens make it read no more than every two seconds.
    await new Promise((resolve) => setTimeout(resolve, 2100));
    expect(await ask()).toBe(404);
  });
});
