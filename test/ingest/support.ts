import { createHash, randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { loadConfig, type Config } from '../../src/config/index.js';
import { startGateway, type Gateway } from '../../src/ingest/gateway.js';
import type { ServerBounds } from '../../src/ingest/server.js';
import { generatePrivateKey, issueAccessToken, publicPart, seal, sign } from '../../src/jose/index.js';
import { systemClock, type Clock } from '../../src/ops/clock.js';
import { encodeEnvelope } from '../../src/protocol/envelope.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import type { PrivateJwk, PublicJwk } from '../../src/protocol/jwk.js';
import { decodeMessageReply, encodeMessageReply } from '../../src/protocol/message-reply.js';
import { decodeProblem } from '../../src/protocol/problem.js';
import { decodeNonceReply, encodeTokenRequest, encodeTokenStatement } from '../../src/protocol/site-token.js';
import { QueueConsumer, ReplyBus, type JobData, type TakenJob } from '../../src/queue/index.js';
import { createSite } from '../../src/secrets/create-site.js';
import { openKeyFolder, type KeyFolder } from '../../src/secrets/key-folder.js';
import { gatewayNames } from '../../src/secrets/gateway-names.js';
import { makeSiteMaterial, type SiteMaterial } from '../../src/secrets/site-material.js';
import { openStore } from '../../src/store/open-store.js';
import type { SiteStore } from '../../src/store/site-store.js';
import { eventually, keptLog, silent } from '../queue/support.js';
import type { TestRedis } from '../support/redis.js';
import { tempFolder } from '../support/temp.js';
import { readVitals, startGatewayProcess, type GatewayProcess, type Vitals } from './gateway-process.js';

export const PROTOBUF = 'application/protobuf';

/** An answer, with its problem where it is one. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  /** The code of a problem in either form; '' where it is none. */
  readonly problem: string;
}

/** A registered client as a test needs it. */
export interface TestClient {
  readonly clientId: Guid;
  readonly key: PrivateJwk;
  readonly authorization: string;
}

/** A site with a gateway: real HTTPS, SQLite, redis-server. */
export class TestGateway {
  readonly store: SiteStore;
  readonly keyFolder: KeyFolder;
  readonly config: Config;
  readonly events: () => string[];
  readonly gateway: Gateway;
  readonly sealingKey: PublicJwk;
  readonly enrolmentToken: string;
  readonly #agent: Agent;

  private constructor(
    parts: Pick<
      TestGateway,
      'store' | 'keyFolder' | 'config' | 'events' | 'gateway' | 'sealingKey' | 'enrolmentToken'
    >,
  ) {
    this.store = parts.store;
    this.keyFolder = parts.keyFolder;
    this.config = parts.config;
    this.events = parts.events;
    this.gateway = parts.gateway;
    this.sealingKey = parts.sealingKey;
    this.enrolmentToken = parts.enrolmentToken;
    this.#agent = new Agent({ keepAlive: true, ca: parts.keyFolder.tls().ca });
  }

  static async start(
    redis: TestRedis,
    options: {
      readonly env?: Record<string, string>;
      readonly bounds?: ServerBounds;
      readonly clock?: Clock;
      /** `mpe gateway` from dist/, in a process of its own; `bounds` and `clock` are not for it. */
      readonly apart?: boolean;
    } = {},
  ): Promise<TestGateway> {
    const folder = tempFolder('mpe-ingest-');
    const env = {
      MPE_HOME: folder,
      MPE_REDIS_URL: redis.url,
      MPE_GATEWAY_LISTEN: '127.0.0.1:0',
      MPE_GATEWAY_OPS_LISTEN: '127.0.0.1:0',
      ...options.env,
    };
    const config = loadConfig(env);
    const { seed, document, enrolmentToken } = await createSite({
      name: 'Test',
      keysDir: config.keysDir,
      hostnames: [],
      testSite: true,
      now: Date.now(),
      material: await sharedMaterial(),
    });
    const store = await openStore({ kind: 'sqlite', path: join(folder, 'site.db') });
    await store.createSite(seed);
    const keyFolder = await openKeyFolder(config.keysDir, 'gateway');
    const { log, events } = keptLog();
    const starting =
      options.apart === true
        ? startGatewayProcess(env, folder)
        : startGateway({
            config,
            store,
            keyFolder,
            log,
            clock: options.clock ?? systemClock(),
            ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
          });
    const gateway = await starting.catch(async (error: unknown) => {
      await store.close();
      throw error;
    });
    const sealingKey = document.sealingKeys.find((key) => key.alg === 'ECDH-ES+A256KW')!;
    return new TestGateway({ store, keyFolder, config, events, gateway, sealingKey, enrolmentToken });
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    await this.gateway.close(1000);
    await this.store.close();
  }

  get siteGuid(): Guid {
    return this.keyFolder.siteGuid;
  }

  /** Any call over HTTPS, with the site's CA. */
  call(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: Uint8Array,
  ): Promise<Answer> {
    return exchange(
      httpsRequest({
        host: '127.0.0.1',
        port: this.gateway.port,
        method,
        path,
        agent: this.#agent,
        headers: { ...(body === undefined ? {} : { 'content-length': body.length }), ...headers },
      }),
      body,
    );
  }

  /** The process of a gateway that was started apart. */
  get process(): GatewayProcess['process'] {
    if ('process' in this.gateway) return (this.gateway as GatewayProcess).process;
    throw new Error('this gateway runs inside the test');
  }

  /** What the gateway measured of itself since the last look. */
  async vitals(): Promise<Vitals> {
    return readVitals((await this.ops('/metrics')).body.toString());
  }

  /** A call to the ops port. */
  ops(path: string): Promise<Answer> {
    return exchange(httpRequest({ host: '127.0.0.1', port: this.gateway.opsPort!, path, agent: false }));
  }

  /** Registers a client in the database, as a worker would. */
  async register(clientId = newGuid(), provenByKid: string | null = null): Promise<TestClient> {
    const key = await generatePrivateKey('ES256');
    const secret = this.enrolmentToken.split('.')[3]!;
    const result = await this.store.commitRegistration({
      clientId,
      registrationId: newGuid(),
      kid: key.kid,
      publicJwk: JSON.stringify(publicPart(key)),
      enrolmentTokenHash:
        provenByKid === null ? createHash('sha256').update(Buffer.from(secret, 'base64url')).digest() : null,
      provenByKid,
      machineName: 'PC1',
      domain: 'CORP',
      hardwareId: '',
      joinType: 'DOMAIN',
      atMs: Date.now(),
    });
    if (result.status !== 'REGISTERED') throw new Error(`registration: ${result.reason}`);
    return { clientId, key, authorization: `Bearer ${await this.siteToken(clientId, result.epoch)}` };
  }

  /** A site token made with the gateway's own key. */
  siteToken(clientId: Guid, epoch = 1, nowMs = Date.now(), siteGuid = this.siteGuid): Promise<string> {
    return issueAccessToken(
      { siteGuid, clientId, epoch, lifetimeSeconds: 28_800, nowMs },
      this.keyFolder.tokenKey(),
    );
  }

  /** An envelope with a token that has the right shape; what is inside matters to workers alone. */
  async envelope(clientId: Guid, messageId = newGuid(), sealed?: string): Promise<Buffer> {
    return encodeEnvelope({
      messageId,
      clientId,
      bodyType: 'CHECK_IN',
      sentAtMs: Date.now(),
      sealed: sealed ?? (await seal(randomBytes(64), this.sealingKey, 'mpe-env')),
      traceparent: '',
      tracestate: '',
    });
  }

  /** POST /v1/messages. */
  post(client: TestClient, body: Uint8Array, headers: Record<string, string> = {}): Promise<Answer> {
    return this.call(
      'POST',
      '/v1/messages',
      { 'content-type': PROTOBUF, authorization: client.authorization, ...headers },
      body,
    );
  }

  /** The body of POST /v1/token, over a nonce of the gateway unless one is given. */
  async proof(
    client: { readonly clientId: Guid; readonly key: PrivateJwk },
    more: { readonly nonce?: Uint8Array; readonly siteGuid?: Guid; readonly key?: PrivateJwk } = {},
  ): Promise<Buffer> {
    const nonce = more.nonce ?? (await this.nonce());
    const statement = encodeTokenStatement({
      siteGuid: more.siteGuid ?? this.siteGuid,
      clientId: client.clientId,
      nonce,
    });
    return encodeTokenRequest({ jws: await sign(statement, more.key ?? client.key, 'mpe-token+jws') });
  }

  async nonce(): Promise<Uint8Array> {
    return decodeNonceReply((await this.call('GET', '/v1/token/nonce')).body).nonce;
  }

  token(body: Uint8Array): Promise<Answer> {
    return this.call('POST', '/v1/token', { 'content-type': PROTOBUF }, body);
  }

  /** A worker that answers each job with what `answer` makes of it; closed after the test. */
  work(redis: TestRedis, answer: (job: TakenJob) => Buffer | Promise<Buffer>): JobData[] {
    const seen: JobData[] = [];
    const bus = ReplyBus.open({ redisUrl: redis.url, siteGuid: this.siteGuid, gatewayId: null, log: silent });
    const consumer = QueueConsumer.start({
      redisUrl: redis.url,
      siteGuid: this.siteGuid,
      concurrency: 8,
      // Long: a busy machine must not lose it, or the job would be seen twice.
      lockMs: 30_000,
      stalledMs: 1000,
      log: silent,
      process: async (job) => {
        seen.push(job.data);
        const reply = await answer(job);
        // The job may be here before the bus is connected: thrown, it would come again.
        await eventually(() => bus.publish(job.id, job.data.gatewayId, reply));
        return { kind: 'done' };
      },
    });
    onTestFinished(async () => {
      await consumer.close(0, { force: true });
      await bus.close();
    });
    return seen;
  }
}

/** The disposition of an answer. */
export function dispositionOf(answer: Answer): string {
  return decodeMessageReply(answer.body).disposition;
}

/** A reply as a worker makes it. */
export function workerReply(
  job: TakenJob,
  disposition: 'COMMITTED' | 'REJECTED' | 'QUARANTINED' = 'COMMITTED',
): Buffer {
  if (job.data.kind !== 'message') throw new Error('no message');
  return encodeMessageReply({
    messageId: job.data.messageId,
    disposition,
    reason:
      disposition === 'COMMITTED' ? 'NONE' : disposition === 'REJECTED' ? 'MALFORMED' : 'CLIENT_UNKNOWN',
    retry: disposition === 'COMMITTED' ? 'NONE' : 'NEW_MESSAGE',
    retryAfterSeconds: 0,
    sealedReply: 'opaque',
  });
}

let material: Promise<Partial<SiteMaterial>> | null = null;
/** RSA keys are slow to make: one set a test file. Site GUIDs differ, so queues do. */
function sharedMaterial(): Promise<Partial<SiteMaterial>> {
  return (material ??= makeKeys());
}

async function makeKeys(): Promise<Partial<SiteMaterial>> {
  const { certificate, tls, sealingKeys } = await makeSiteMaterial({
    gatewayNames: gatewayNames([]),
    withCertificate: true,
    nowMs: Date.now(),
    given: {
      sealingKeys: [
        await generatePrivateKey('RSA-OAEP-256', 2048),
        await generatePrivateKey('ECDH-ES+A256KW'),
      ],
    },
  });
  return { certificate, tls, sealingKeys };
}

/** Sends a request and reads its answer. */
export function exchange(sent: ReturnType<typeof httpRequest>, body?: Uint8Array): Promise<Answer> {
  return new Promise((resolve, reject) => {
    sent.once('error', reject);
    sent.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        const bytes = Buffer.concat(chunks);
        const type = response.headers['content-type'] ?? '';
        const status = response.statusCode ?? 0;
        const problem =
          status < 400 || bytes.length === 0
            ? ''
            : type.startsWith('application/problem+json')
              ? String((JSON.parse(bytes.toString()) as { code: unknown }).code)
              : type.includes('protobuf')
                ? decodeProblem(bytes).code
                : '';
        resolve({ status, headers: response.headers, body: bytes, problem });
      });
    });
    sent.end(body);
  });
}
