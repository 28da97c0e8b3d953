import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { decodeMessageReply } from '../../src/protocol/message-reply.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import { LIMITS } from '../../src/protocol/vocabulary.js';
import { messageJobId, ReplyBus } from '../../src/queue/index.js';
import { eventually, silent } from '../queue/support.js';
import { TestRedis } from '../support/redis.js';
import { dispositionOf, PROTOBUF, TestGateway, workerReply, type TestClient } from './support.js';

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

async function jobInRedis(clientId: Guid, messageId: Guid): Promise<string | null> {
  const raw = redis.connect();
  try {
    const key = `{mpe:${site.siteGuid.slice(0, 8)}}:messages:${messageJobId(clientId, messageId)}`;
    return await raw.hget(key, 'data');
  } finally {
    raw.disconnect();
  }
}

describe('POST /v1/messages', () => {
  test('answers 202 QUEUED with its place, and the job is in Redis as sealed as it came', async () => {
    const messageId = newGuid();
    const answer = await site.post(client, await site.envelope(client.clientId, messageId));
    expect(answer.status).toBe(202);
    expect(answer.headers).toMatchObject({
      'content-type': PROTOBUF,
      location: `/v1/messages/${messageId}`,
      'cache-control': 'no-store',
    });
    expect(decodeMessageReply(answer.body)).toMatchObject({
      messageId,
      disposition: 'QUEUED',
      retry: 'SAME_MESSAGE_LATER',
      sealedReply: '',
    });
    const job = JSON.parse((await jobInRedis(client.clientId, messageId)) ?? '{}');
    expect(job).toMatchObject({
      v: 1,
      kind: 'message',
      messageId,
      clientId: client.clientId,
      bodyType: 4,
      channel: { method: 'site-token', clientId: client.clientId, epoch: 1 },
    });
    expect(job.sealed.split('.')).toHaveLength(5);
    expect(JSON.stringify(job)).not.toContain(client.authorization.slice(7));
  });

  test('answers in the older media type to who speaks it', async () => {
    const answer = await site.post(client, await site.envelope(client.clientId), {
      'content-type': 'application/x-protobuf; charset=binary',
    });
    expect(answer.status).toBe(202);
    expect(answer.headers['content-type']).toBe('application/x-protobuf');
  });

  test('the same message twice is one job', async () => {
    const messageId = newGuid();
    const body = await site.envelope(client.clientId, messageId);
    const answers = await Promise.all([site.post(client, body), site.post(client, body)]);
    expect(answers.map(dispositionOf)).toEqual(['QUEUED', 'QUEUED']);
  });

  test('waits for the reply as long as the client asks', async () => {
    const own = await TestGateway.start(redis);
    const known = await own.register();
    const seen = own.work(redis, (job) => workerReply(job));
    const body = await own.envelope(known.clientId);
    const answer = await own.post(known, body, { prefer: 'respond-async, wait=20' });
    expect(answer.status).toBe(200);
    expect(answer.headers['preference-applied']).toBe('wait=20');
    expect(decodeMessageReply(answer.body)).toMatchObject({
      disposition: 'COMMITTED',
      sealedReply: 'opaque',
    });
    expect(seen).toHaveLength(1);
    await own.close();
  });

  test('a re-send gets the new reply, not the one of before', async () => {
    const own = await TestGateway.start(redis);
    const known = await own.register();
    let deliveries = 0;
    own.work(redis, (job) => {
      deliveries += 1;
      return workerReply(job, deliveries === 1 ? 'QUARANTINED' : 'COMMITTED');
    });
    const body = await own.envelope(known.clientId);
    const first = await own.post(known, body, { prefer: 'wait=20' });
    expect([first.status, dispositionOf(first)]).toEqual([202, 'QUARANTINED']);
    const second = await own.post(known, body, { prefer: 'wait=20' });
    expect([second.status, dispositionOf(second)]).toEqual([200, 'COMMITTED']);
    await own.close();
  });

  test('at the end of a wait a reply that went to another gateway is found', async () => {
    const bus = ReplyBus.open({ redisUrl: redis.url, siteGuid: site.siteGuid, gatewayId: null, log: silent });
    onTestFinished(() => bus.close());
    const store = (messageId: Guid): Promise<void> => {
      const reply = workerReply({ id: '', stalled: 0, data: { kind: 'message', messageId } as never });
      return bus.publish(messageJobId(client.clientId, messageId), 'another-gateway', reply);
    };
    // It is connected before the wait begins.
    await eventually(() => store(newGuid()));
    // Again with another message where a busy machine stored the reply too late for the wait.
    await eventually(async () => {
      const messageId = newGuid();
      const posted = site.post(client, await site.envelope(client.clientId, messageId), { prefer: 'wait=6' });
      // The job is there: what is stored from now on is no reply of before.
      const asked = { authorization: client.authorization };
      await eventually(async () =>
        expect((await site.call('GET', `/v1/messages/${messageId}`, asked)).status).toBe(202),
      );
      // Nobody takes the job; another gateway's delivery of the same message was answered meanwhile.
      await eventually(() => store(messageId));
      const answer = await posted;
      expect([answer.status, dispositionOf(answer)]).toEqual([200, 'COMMITTED']);
    });
  });

  test('at the end of a wait without any reply the answer is QUEUED', async () => {
    const answer = await site.post(client, await site.envelope(client.clientId), { prefer: 'wait=1' });
    expect([answer.status, dispositionOf(answer)]).toEqual([202, 'QUEUED']);
  });
});

describe('refusals of POST /v1/messages', () => {
  const good = async (): Promise<Buffer> => site.envelope(client.clientId);
  const broken = (change: (parts: string[]) => string): Promise<Buffer> =>
    good().then(async () => {
      const { decodeEnvelope, encodeEnvelope } = await import('../../src/protocol/envelope.js');
      const envelope = decodeEnvelope(await good());
      return encodeEnvelope({ ...envelope, sealed: change(envelope.sealed.split('.')) });
    });
  const header = (change: (members: Record<string, unknown>) => void) =>
    broken(([first, ...rest]) => {
      const members = JSON.parse(Buffer.from(first!, 'base64url').toString()) as Record<string, unknown>;
      change(members);
      return [Buffer.from(JSON.stringify(members)).toString('base64url'), ...rest].join('.');
    });

  test.each<[string, number, string, () => Promise<Buffer>, Record<string, string>]>([
    ['no site token', 401, 'AUTHENTICATION_REQUIRED', good, { authorization: '' }],
    ['another scheme', 401, 'AUTHENTICATION_REQUIRED', good, { authorization: 'Basic dTpw' }],
    ['no JWT', 401, 'SITE_TOKEN_INVALID', good, { authorization: 'Bearer abc' }],
    ['JSON', 415, 'MEDIA_TYPE_UNSUPPORTED', good, { 'content-type': 'application/json' }],
    [
      'a type that only begins like it',
      415,
      'MEDIA_TYPE_UNSUPPORTED',
      good,
      { 'content-type': 'application/protobuf+json' },
    ],
    ['no type', 415, 'MEDIA_TYPE_UNSUPPORTED', good, { 'content-type': '' }],
    ['gzip', 415, 'CONTENT_ENCODING_UNSUPPORTED', good, { 'content-encoding': 'gzip' }],
    ['junk', 400, 'ENVELOPE_MALFORMED', () => Promise.resolve(Buffer.from('junk')), {}],
    ['nothing', 400, 'ENVELOPE_MALFORMED', () => Promise.resolve(Buffer.alloc(0)), {}],
    ['another client', 403, 'CLIENT_MISMATCH', () => site.envelope(newGuid()), {}],
    ['four parts', 400, 'SEALED_MALFORMED', () => broken((parts) => parts.slice(1).join('.')), {}],
    ['six parts', 400, 'SEALED_MALFORMED', () => broken((parts) => [...parts, 'AA'].join('.')), {}],
    ['no kid', 400, 'SEALED_MALFORMED', () => header((members) => delete members['kid']), {}],
    ['alg dir', 400, 'SEALED_MALFORMED', () => header((members) => (members['alg'] = 'dir')), {}],
    ['alg RSA1_5', 400, 'SEALED_MALFORMED', () => header((members) => (members['alg'] = 'RSA1_5')), {}],
    ['zip', 400, 'SEALED_MALFORMED', () => header((members) => (members['zip'] = 'DEF')), {}],
    [
      'typ of another token',
      400,
      'SEALED_MALFORMED',
      () => header((members) => (members['typ'] = 'mpe-dk')),
      {},
    ],
    ['too large', 413, 'BODY_TOO_LARGE', () => Promise.resolve(Buffer.alloc(LIMITS.envelopeBytes + 1)), {}],
  ])('%s', async (_name, status, code, body, headers) => {
    const answer = await site.post(client, await body(), headers);
    expect([answer.status, answer.problem]).toEqual([status, code]);
    if (status === 415)
      expect(
        answer.headers[code === 'MEDIA_TYPE_UNSUPPORTED' ? 'accept-post' : 'accept-encoding'],
      ).toBeDefined();
    if (status === 401) expect(answer.headers['www-authenticate']).toMatch(/^Bearer /);
  });

  test('a body that grows without end is cut off at the limit', async () => {
    const { request } = await import('node:https');
    const sent = request({
      host: '127.0.0.1',
      port: site.gateway.port,
      path: '/v1/messages',
      method: 'POST',
      ca: site.keyFolder.tls().ca,
      headers: {
        'content-type': PROTOBUF,
        authorization: client.authorization,
        'transfer-encoding': 'chunked',
      },
    });
    let written = 0;
    const status = await new Promise<number | string>((resolve) => {
      sent.once('response', (response) => resolve(response.statusCode ?? 0));
      sent.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
      const more = (): void => {
        if (sent.destroyed) return;
        written += 16_384;
        sent.write(Buffer.alloc(16_384), () => setImmediate(more));
      };
      more();
    });
    sent.destroy();
    // Either it reads the answer or finds the connection closed.
    expect([413, 'ECONNRESET', 'EPIPE']).toContain(status);
    expect(written).toBeLessThan(64 * 1024 * 1024);
  });

  test('the limit itself is let through', async () => {
    const body = Buffer.alloc(LIMITS.envelopeBytes);
    expect((await site.post(client, body)).problem).toBe('ENVELOPE_MALFORMED');
  });

  test('an expired token, one of another site and one from the future are refused', async () => {
    const hours = 3600_000;
    const tokens = [
      await site.siteToken(client.clientId, 1, Date.now() - 9 * hours),
      await site.siteToken(client.clientId, 1, Date.now(), newGuid()),
      await site.siteToken(client.clientId, 1, Date.now() + 2 * hours),
    ];
    for (const token of tokens) {
      const answer = await site.post(client, await good(), { authorization: `Bearer ${token}` });
      expect([answer.status, answer.problem]).toEqual([401, 'SITE_TOKEN_INVALID']);
      expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
    }
  });

  test('problems come as JSON to who asks for JSON, as protobuf to who speaks it', async () => {
    const json = await site.post(client, Buffer.from('junk'), { accept: 'application/problem+json' });
    expect(json.headers['content-type']).toBe('application/problem+json');
    expect(JSON.parse(json.body.toString())).toMatchObject({
      type: 'urn:mpe:problem:envelope-malformed',
      status: 400,
      code: 'ENVELOPE_MALFORMED',
    });
    const proto = await site.post(client, Buffer.from('junk'));
    expect(proto.headers['content-type']).toBe(PROTOBUF);
    const plain = await site.call('GET', '/v1/messages/x');
    expect(plain.headers['content-type']).toBe('application/problem+json');
    const asked = await site.call('GET', '/v1/messages/x', { accept: 'application/x-protobuf' });
    expect(asked.headers['content-type']).toBe('application/x-protobuf');
    expect(asked.problem).toBe('AUTHENTICATION_REQUIRED');
  });

  test('nothing of a refused message is in the queue', async () => {
    const messageId = newGuid();
    const body = await site.envelope(newGuid(), messageId);
    await site.post(client, body);
    expect(await jobInRedis(client.clientId, messageId)).toBeNull();
  });
});

describe('GET /v1/messages/{id}', () => {
  const get = (id: string, who = client) =>
    site.call('GET', `/v1/messages/${id}`, { authorization: who.authorization, accept: PROTOBUF });

  test('says QUEUED while it is in the queue, to its own client alone', async () => {
    const messageId = newGuid();
    await site.post(client, await site.envelope(client.clientId, messageId));
    const own = await get(messageId);
    expect([own.status, dispositionOf(own)]).toEqual([202, 'QUEUED']);
    // Another form of the same GUID.
    expect((await get(`{${messageId.toUpperCase()}}`)).status).toBe(202);
    const stranger = await get(messageId, await site.register());
    expect([stranger.status, stranger.problem]).toEqual([404, 'MESSAGE_NOT_FOUND']);
  });

  test('answers from the stored reply, then from quarantine, then from a dead letter', async () => {
    const bus = ReplyBus.open({ redisUrl: redis.url, siteGuid: site.siteGuid, gatewayId: null, log: silent });
    const ids = { dead: newGuid(), quarantined: newGuid(), replied: newGuid() };
    const row = { clientId: client.clientId, bodyType: 1, sealed: 'a.b.c.d.e' };
    await site.store.addDeadLetter(
      {
        ...row,
        messageId: ids.dead,
        cause: 'HANDLER_FAILED',
        detail: '',
        release: '0',
        resends: 0,
        deadAtMs: 1,
        redrivenAtMs: null,
      },
      100,
    );
    await site.store.quarantine(
      {
        ...row,
        messageId: ids.quarantined,
        reason: 'SEALING_KEY_UNKNOWN',
        kid: 'x',
        attempts: 1,
        firstAtMs: 1,
        lastAtMs: 1,
      },
      100,
    );
    const reply = workerReply({
      id: '',
      stalled: 0,
      data: { kind: 'message', messageId: ids.replied } as never,
    });
    await eventually(() => bus.publish(messageJobId(client.clientId, ids.replied), 'gw', reply));
    await bus.close();
    const answers = await Promise.all([get(ids.replied), get(ids.quarantined), get(ids.dead)]);
    expect(answers.map((answer) => answer.status)).toEqual([200, 202, 200]);
    expect(answers.map((answer) => decodeMessageReply(answer.body))).toMatchObject([
      { disposition: 'COMMITTED', sealedReply: 'opaque' },
      { disposition: 'QUARANTINED', reason: 'SEALING_KEY_UNKNOWN', retry: 'SAME_MESSAGE_LATER' },
      { disposition: 'REJECTED', reason: 'DEAD_LETTERED', retry: 'SAME_MESSAGE_LATER' },
    ]);
  });

  test.each(['a:b', '12345', 'x'.repeat(90), '%00'])('the id %j is refused as none', async (id) => {
    const answer = await get(id);
    expect([answer.status, answer.problem]).toEqual([400, 'MESSAGE_ID_INVALID']);
  });

  test('an unknown id says to send the message again', async () => {
    const answer = await get(newGuid());
    expect([answer.status, answer.problem]).toEqual([404, 'MESSAGE_NOT_FOUND']);
    expect(answer.body.toString()).toContain('send the message again');
  });
});

describe('other addresses', () => {
  test.each([
    ['GET', '/v1/messages', 405, 'POST'],
    ['DELETE', '/v1/messages/8637036e-b379-4798-bd9e-5a0b36296de3', 405, 'GET'],
    ['PUT', '/v1/token', 405, 'POST'],
    ['HEAD', '/v1/site', 405, 'GET'],
    ['GET', '/', 404, undefined],
    ['GET', '/v2/messages', 404, undefined],
  ])('%s %s is %d', async (method, path, status, allow) => {
    const answer = await site.call(method, path);
    expect(answer.status).toBe(status);
    expect(answer.headers['allow']).toBe(allow);
  });
});
