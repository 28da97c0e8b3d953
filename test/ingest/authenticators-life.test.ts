import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import { generatePrivateKey, publicPart, sign } from '../../src/jose/index.js';
import {
  decodeRegistrationReply,
  encodeRegistrationRequest,
  encodeRegistrationStatement,
} from '../../src/protocol/registration.js';
import type { JobData } from '../../src/queue/index.js';
import { readJob } from '../../src/queue/index.js';
import { eventually, someJob } from '../queue/support.js';
import { TestRedis } from '../support/redis.js';
import { bytes, ChannelLab, needsSentChain } from './channel-lab.js';
import { TestGateway, workerReply } from './support.js';

let redis: TestRedis;
beforeAll(async () => {
  redis = await TestRedis.start();
});
afterAll(() => redis.stop());

const past = (): Date => new Date(Date.now() - 3_600_000);
const said = async (answer: ReturnType<ChannelLab['send']>): Promise<string> => {
  const { status, problem } = await answer;
  return `${status} ${problem}`.trim();
};

describe('revocation lists', () => {
  let lab: ChannelLab;
  beforeEach(async () => {
    lab = await ChannelLab.start(redis);
  });
  afterEach(() => lab.close());

  test('a new list ends a connection that stands and a certificate that was good', async (context) => {
    needsSentChain(context);
    const certificate = await lab.issuing.issue({ cn: lab.victim });
    const sent = { certificate, chain: [lab.issuing.pem] };
    expect(await said(lab.send(sent))).toBe('202');
    await lab.writeCrls([certificate.serial]);
    await eventually(async () => expect(await said(lab.send(sent))).toBe('401 CERTIFICATE_REFUSED'));
  });

  test('a list that has ended, or is another CA’s, refuses all with 503 and says so in the log', async (context) => {
    needsSentChain(context);
    const sent = { certificate: await lab.issuing.issue({ cn: lab.victim }), chain: [lab.issuing.pem] };
    await lab.writeCrls([], past());
    await eventually(async () => expect(await said(lab.send(sent))).toBe('503 CHANNEL_UNAVAILABLE'));
    expect(lab.site.events()).toContain('gateway.crl_unusable');
    await lab.writeCrls([]);
    await eventually(async () => expect(await said(lab.send(sent))).toBe('202'));
    const forged = await lab.issuing.crl([], { signer: lab.foreign });
    writeFileSync(join(lab.folder, 'issuing.crl'), forged);
    await eventually(async () => expect(await said(lab.send(sent))).toBe('503 CHANNEL_UNAVAILABLE'));
  });

  test('a file that becomes unreadable is an error in the log; its list goes on until it ends', async (context) => {
    needsSentChain(context);
    const certificate = await lab.issuing.issue({ cn: lab.victim });
    const sent = { certificate, chain: [lab.issuing.pem] };
    writeFileSync(join(lab.folder, 'issuing.crl'), 'junk');
    await eventually(() => expect(lab.site.events()).toContain('gateway.crl_unusable'));
    expect(await said(lab.send(sent))).toBe('202');
  });
});

test('a start with an unreadable list is closed, and with CRL_FAILURE=accept open', async (context) => {
  needsSentChain(context);
  for (const [failure, answer] of [
    ['refuse', '503 CHANNEL_UNAVAILABLE'],
    ['accept', '202'],
  ] as const) {
    const lab = await ChannelLab.start(redis, {
      env: { MPE_GATEWAY_CLIENT_CRL: '/does/not/exist.crl', MPE_GATEWAY_CLIENT_CRL_FAILURE: failure },
    });
    try {
      const certificate = await lab.issuing.issue({ cn: lab.victim });
      expect(await said(lab.send({ certificate, chain: [lab.issuing.pem] }))).toBe(answer);
      expect(lab.site.events()).toContain('gateway.crl_unusable');
    } finally {
      await lab.close();
    }
  }
});

describe('keys of the tenant', () => {
  let lab: ChannelLab;
  beforeEach(async () => {
    lab = await ChannelLab.start(redis);
  });
  afterEach(() => lab.close());
  const token = (): Promise<string> => lab.issuer.token(lab.victim, lab.root.pem);

  test('a new key is found by its first token, and the old one’s tokens end with it', async () => {
    const old = await token();
    expect(await said(lab.send({ bearer: old }))).toBe('202');
    lab.issuer.rotate('key-2');
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(await said(lab.send({ bearer: await token() }))).toBe('202');
    expect(await said(lab.send({ bearer: old }))).toBe('401 DEVICE_TOKEN_INVALID');
  });

  test('while the tenant is away the keys that are held go on', async () => {
    const [first, second] = [await token(), await token()];
    expect(await said(lab.send({ bearer: first }))).toBe('202');
    lab.issuer.down = true;
    expect(await said(lab.send({ bearer: second }))).toBe('202');
    const unknown = lab.issuer.forge(lab.victim, {}, { kid: 'later' });
    // The provider is asked at most once per `lookEveryMs`: a token sent sooner after the start asks nobody.
    await eventually(async () => {
      expect(await said(lab.send({ bearer: unknown }))).toBe('401 DEVICE_TOKEN_INVALID');
      expect(lab.site.events()).toContain('gateway.device_keys_unread');
    });
    expect(await said(lab.send({ bearer: second }))).toBe('202');
  });
});

test('tokens with unknown keys make the gateway ask no more than its rate; a tenant away from the start is 503', async () => {
  const lab = await ChannelLab.start(redis, { bounds: { lookEveryMs: 60_000 } });
  try {
    expect(lab.issuer.keyRequests).toBe(1);
    const flood = Array.from({ length: 40 }, (_, i) =>
      said(lab.send({ bearer: lab.issuer.forge(lab.victim, {}, { kid: `kid-${i}` }) })),
    );
    expect(new Set(await Promise.all(flood))).toEqual(new Set(['401 DEVICE_TOKEN_INVALID']));
    expect(lab.issuer.keyRequests).toBe(1);
  } finally {
    await lab.close();
  }
  const closed = await ChannelLab.start(redis, {
    env: { MPE_GATEWAY_ENTRA_KEYS_URL: 'https://127.0.0.1:1/jwks' },
  });
  try {
    expect(await said(closed.send({ bearer: closed.issuer.forge(closed.victim) }))).toBe(
      '503 CHANNEL_UNAVAILABLE',
    );
  } finally {
    await closed.close();
  }
});

test('the identity goes with the job, in messages and registrations; site tokens keep the old format', async (context) => {
  needsSentChain(context);
  const lab = await ChannelLab.start(redis);
  try {
    const jobs: JobData[] = lab.site.work(redis, (job) =>
      job.data.kind === 'message' ? workerReply(job) : Buffer.alloc(0),
    );
    const prefer = { prefer: 'wait=10' };
    const certificate = await lab.issuing.issue({ cn: lab.victim });
    const shown = { certificate, chain: [lab.issuing.pem] };
    await lab.send({ ...shown, headers: prefer });
    await lab.send({ bearer: await lab.issuer.token(lab.victim, lab.root.pem), headers: prefer });
    await lab.send({ bearer: await lab.site.siteToken(lab.victim), headers: prefer });
    const registration = async (clientId: typeof lab.victim): Promise<Buffer> => {
      const key = await generatePrivateKey('ES256');
      const { x, y } = publicPart(key);
      const statement = encodeRegistrationStatement({
        siteGuid: lab.site.siteGuid,
        registrationId: newGuid(),
        clientId,
        publicKeyX: Buffer.from(x ?? '', 'base64url'),
        publicKeyY: Buffer.from(y ?? '', 'base64url'),
        createdAtMs: 0,
        enrolmentTokenSha256: new Uint8Array(0),
      });
      return encodeRegistrationRequest({
        jws: await sign(statement, key, 'mpe-reg+jws'),
        machineName: '',
        domain: '',
        hardwareId: '',
        joinType: 'UNSPECIFIED',
      });
    };
    const path = '/v1/clients';
    const taken = await lab.send({ ...shown, path, body: await registration(lab.victim) });
    expect(decodeRegistrationReply(taken.body).status).toBe('QUEUED');
    const foreign = { ...shown, path, body: await registration(lab.other) };
    expect(await said(lab.send(foreign))).toBe('403 CLIENT_MISMATCH');
    await eventually(() => expect(jobs).toHaveLength(4));
    const subject = expect.stringMatching(/^[0-9a-f]{64}$/) as string;
    expect(jobs.map(({ v, kind, channel }) => ({ v, kind, channel }))).toEqual([
      { v: 2, kind: 'message', channel: { method: 'client-certificate', clientId: lab.victim, subject } },
      {
        v: 2,
        kind: 'message',
        channel: { method: 'entra', clientId: lab.victim, subject: `${lab.tenantId}/${lab.victim}` },
      },
      { v: 1, kind: 'message', channel: { method: 'site-token', clientId: lab.victim, epoch: 1 } },
      {
        v: 2,
        kind: 'registration',
        channel: { method: 'client-certificate', clientId: lab.victim, subject },
      },
    ]);
    // The same key in a renewed certificate is the same subject.
    const renewed = await lab.issuing.issue({ cn: lab.victim, key: certificate.key });
    await lab.send({ certificate: renewed, chain: [lab.issuing.pem], headers: prefer });
    expect(jobs[4]?.channel).toEqual(jobs[0]?.channel);
  } finally {
    await lab.close();
  }
});

test('a job of format 1 is read as before; one of a later format is left alone', () => {
  const old = JSON.parse(JSON.stringify(someJob())) as unknown;
  expect(readJob(old)).toEqual({ kind: 'job', data: someJob(old as object) });
  expect(readJob({ ...(old as object), v: 3 })).toEqual({ kind: 'newer', format: 3 });
  const channel = { method: 'client-certificate', clientId: newGuid(), subject: 'x' };
  expect(readJob({ ...(old as object), v: 2, channel }).kind).toBe('broken');
});

test('where no certificates are taken, a header that names one is refused all the same', async () => {
  const plain = await TestGateway.start(redis);
  try {
    const client = await plain.register();
    const lab = await ChannelLab.start(redis);
    const certificate = await lab.issuing.issue({ cn: client.clientId });
    await lab.close();
    const answer = await plain.post(client, await plain.envelope(client.clientId), {
      'client-cert': bytes(certificate),
    });
    expect(answer.problem).toBe('FORWARDED_IDENTITY_REFUSED');
  } finally {
    await plain.close();
  }
});
