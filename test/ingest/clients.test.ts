import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generatePrivateKey, sign } from '../../src/jose/index.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import type { PrivateJwk } from '../../src/protocol/jwk.js';
import {
  decodeRegistrationReply,
  encodeRegistrationReply,
  encodeRegistrationRequest,
  encodeRegistrationStatement,
} from '../../src/protocol/registration.js';
import type { RegistrationRequest } from '../../src/protocol/client-message.js';
import { registrationJobId } from '../../src/queue/index.js';
import { TestRedis } from '../support/redis.js';
import { PROTOBUF, TestGateway } from './support.js';

let redis: TestRedis;
let site: TestGateway;
beforeAll(async () => {
  redis = await TestRedis.start();
  site = await TestGateway.start(redis);
});
afterAll(async () => {
  await site.close();
  await redis.stop();
});

async function registration(
  ids: { readonly clientId: Guid; readonly registrationId: Guid; readonly key: PrivateJwk },
  more: Partial<RegistrationRequest> = {},
): Promise<Buffer> {
  const statement = encodeRegistrationStatement({
    siteGuid: site.siteGuid,
    registrationId: ids.registrationId,
    clientId: ids.clientId,
    publicKeyX: Buffer.from(ids.key.x!, 'base64url'),
    publicKeyY: Buffer.from(ids.key.y!, 'base64url'),
    createdAtMs: 0,
    enrolmentTokenSha256: new Uint8Array(),
  });
  return encodeRegistrationRequest({
    jws: await sign(statement, ids.key, 'mpe-reg+jws'),
    machineName: 'PC1',
    domain: 'CORP',
    hardwareId: 'hw',
    joinType: 'DOMAIN',
    ...more,
  });
}
const newIds = async () => ({
  clientId: newGuid(),
  registrationId: newGuid(),
  key: await generatePrivateKey('ES256'),
});
const post = (body: Uint8Array, headers: Record<string, string> = {}, at = site) =>
  at.call('POST', '/v1/clients', { 'content-type': PROTOBUF, ...headers }, body);

describe('POST /v1/clients', () => {
  test('queues the registration with the hash of the enrolment token, never the token', async () => {
    const ids = await newIds();
    const secret = Buffer.alloc(32, 9);
    const enrolmentToken = secret.toString('base64url');
    const answer = await post(await registration(ids, { enrolmentToken }));
    expect(answer.status).toBe(202);
    expect(decodeRegistrationReply(answer.body)).toMatchObject({
      clientId: ids.clientId,
      status: 'QUEUED',
      kid: ids.key.kid,
      retry: 'SAME_MESSAGE_LATER',
    });
    const raw = redis.connect();
    const key = `{mpe:${site.siteGuid.slice(0, 8)}}:messages:${registrationJobId(ids.clientId, ids.registrationId)}`;
    const job = (await raw.hget(key, 'data')) ?? '';
    raw.disconnect();
    expect(JSON.parse(job)).toMatchObject({
      kind: 'registration',
      clientId: ids.clientId,
      enrolmentTokenHash: createHash('sha256').update(secret).digest('hex'),
      previousKeyJws: null,
      joinType: 'DOMAIN',
    });
    expect(job).not.toContain(enrolmentToken);
  });

  test.each([
    ['REGISTERED', 200],
    ['PENDING', 202],
    ['REFUSED', 200],
  ] as const)('a worker that says %s is answered with %d', async (status, code) => {
    const own = await TestGateway.start(redis);
    own.work(redis, (job) =>
      encodeRegistrationReply({
        clientId: job.data.clientId,
        status,
        reason: status === 'REFUSED' ? 'TOKEN_REFUSED' : 'NONE',
        epoch: 1,
        kid: 'k',
        retry: 'NEVER',
      }),
    );
    const answer = await post(await registration(await newIds()), { prefer: 'wait=20' }, own);
    expect(answer.status).toBe(code);
    expect(decodeRegistrationReply(answer.body).status).toBe(status);
    await own.close();
  });

  test('without a wait a registration that is stored is found by sending again', async () => {
    const client = await site.register();
    const ids = { clientId: client.clientId, registrationId: newGuid(), key: client.key };
    const answer = await post(await registration(ids));
    expect([answer.status, decodeRegistrationReply(answer.body).status]).toEqual([200, 'ALREADY_REGISTERED']);
  });

  test('at the end of a wait a registration that is stored is found', async () => {
    const client = await site.register();
    const ids = { clientId: client.clientId, registrationId: newGuid(), key: client.key };
    const answer = await post(await registration(ids), { prefer: 'wait=1' });
    expect(answer.status).toBe(200);
    expect(decodeRegistrationReply(answer.body)).toMatchObject({ status: 'ALREADY_REGISTERED', epoch: 1 });
  });

  test.each<[string, () => Promise<Buffer>, number, string]>([
    ['junk', () => Promise.resolve(Buffer.from('junk')), 400, 'REQUEST_MALFORMED'],
    ['no JWS', async () => registration(await newIds(), { jws: 'a.b.c' }), 400, 'REQUEST_MALFORMED'],
    [
      'a token that is none',
      async () => registration(await newIds(), { enrolmentToken: 'not-32-bytes' }),
      400,
      'REQUEST_MALFORMED',
    ],
    [
      'an old key signature that is none',
      async () => registration(await newIds(), { previousKeyJws: 'x' }),
      400,
      'REQUEST_MALFORMED',
    ],
    ['a large body', () => Promise.resolve(Buffer.alloc(16 * 1024 + 1)), 413, 'BODY_TOO_LARGE'],
  ])('%s is refused', async (_name, body, status, code) => {
    const answer = await post(await body());
    expect([answer.status, answer.problem]).toEqual([status, code]);
  });

  test('strangers cannot fill the queue: beyond the burst there is 429 with Retry-After', async () => {
    const own = await TestGateway.start(redis, { bounds: { registrations: [0.001, 3] } });
    const answers = [];
    for (let i = 0; i < 5; i += 1) answers.push(await post(Buffer.from('junk'), {}, own));
    expect(answers.map((answer) => answer.status)).toEqual([400, 400, 400, 429, 429]);
    expect(answers[4]!.problem).toBe('RATE_LIMITED');
    expect(Number(answers[4]!.headers['retry-after'])).toBeGreaterThan(0);
    await own.close();
  });
});
