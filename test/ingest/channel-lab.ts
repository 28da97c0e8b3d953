import { mkdirSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import type { TestContext } from 'vitest';
import type { ServerBounds } from '../../src/ingest/server.js';
import { dropsSentChain } from '../../src/ops/sent-chain.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import { SubmitQueue } from '../../src/queue/index.js';
import { silent } from '../queue/support.js';
import { DeviceIssuer } from '../support/device-issuer.js';
import { TestCa, type TestCertificate } from '../support/pki.js';
import type { TestRedis } from '../support/redis.js';
import { tempFolder } from '../support/temp.js';
import { exchange, PROTOBUF, TestGateway, type Answer } from './support.js';

/** How a request is sent: from which address, with which certificate, with which headers. */
export interface Sent {
  readonly certificate?: TestCertificate;
  /** PEM of intermediates that go with it. */
  readonly chain?: readonly string[];
  /** `true`: from the listed proxy's address. */
  readonly proxy?: boolean;
  readonly bearer?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly method?: string;
  readonly path?: string;
  readonly body?: Uint8Array;
  /** Whom the envelope names; the victim where absent. */
  readonly clientId?: Guid;
}

/** What needs the intermediates that clients send cannot run on a Node that loses them; `npm test` says so. */
export function needsSentChain({ skip }: TestContext): void {
  skip(dropsSentChain(), `Node ${process.versions.node} drops the intermediates that clients send`);
}

/** The addresses of tests: all of 127.0.0.0/8 is ours. */
export const PROXY = '127.0.0.2';

/** A gateway with every authenticator, a PKI, a tenant with a real OpenID provider. */
export class ChannelLab {
  readonly victim: Guid = newGuid();
  readonly other: Guid = newGuid();
  readonly tenantId: string = newGuid();
  root!: TestCa;
  issuing!: TestCa;
  foreign!: TestCa;
  issuer!: DeviceIssuer;
  site!: TestGateway;
  #queue!: SubmitQueue;
  readonly folder = tempFolder('mpe-channels-');

  static async start(
    redis: TestRedis,
    options: {
      readonly env?: Record<string, string>;
      readonly bounds?: ServerBounds;
      /** The gateway as a process of its own. */
      readonly apart?: boolean;
      /** Called before the gateway starts. */
      readonly prepare?: (lab: ChannelLab) => Promise<void>;
    } = {},
  ): Promise<ChannelLab> {
    const lab = new ChannelLab();
    lab.root = await TestCa.create('CN=Test Root');
    lab.issuing = await TestCa.create('CN=Test Issuing', { parent: lab.root, pathLength: 0 });
    lab.foreign = await TestCa.create('CN=Test Root');
    lab.issuer = await DeviceIssuer.start(lab.root, lab.tenantId, [lab.victim, lab.other]);
    mkdirSync(lab.folder, { recursive: true });
    writeFileSync(join(lab.folder, 'root.pem'), lab.root.pem);
    await lab.writeCrls([]);
    await options.prepare?.(lab);
    lab.site = await TestGateway.start(redis, {
      env: {
        MPE_GATEWAY_AUTH: 'site-token,client-certificate,forwarded-certificate,entra',
        MPE_GATEWAY_CLIENT_CA: join(lab.folder, 'root.pem'),
        MPE_GATEWAY_CLIENT_CRL: `${join(lab.folder, 'root.crl')},${join(lab.folder, 'issuing.crl')}`,
        MPE_GATEWAY_PROXIES: PROXY,
        MPE_GATEWAY_ENTRA_TENANT: lab.tenantId,
        MPE_GATEWAY_ENTRA_AUDIENCE: lab.issuer.audience,
        MPE_GATEWAY_ENTRA_ISSUER: lab.issuer.url,
        MPE_GATEWAY_ENTRA_KEYS_URL: lab.issuer.keysUrl,
        MPE_GATEWAY_ENTRA_CA: join(lab.folder, 'root.pem'),
        ...options.env,
      },
      bounds: { lookEveryMs: 200, ...options.bounds },
      ...(options.apart === undefined ? {} : { apart: options.apart }),
    });
    lab.#queue = SubmitQueue.open({
      redisUrl: redis.url,
      siteGuid: lab.site.siteGuid,
      highWater: 10_000,
      log: silent,
    });
    if (!(await lab.#queue.ready(60_000))) throw new Error('Redis does not answer');
    return lab;
  }

  /** New lists: that of the issuing CA with these serials, that of the root with none. */
  async writeCrls(serials: readonly string[], nextUpdate?: Date): Promise<void> {
    const when = nextUpdate === undefined ? {} : { nextUpdate };
    writeFileSync(join(this.folder, 'root.crl'), await this.root.crl([], when));
    writeFileSync(join(this.folder, 'issuing.crl'), await this.issuing.crl(serials, when));
  }

  /** Jobs in the queue, in whatever state. */
  async queued(): Promise<number> {
    const { waiting, active, delayed, failed } = await this.#queue.depth();
    return waiting + active + delayed + failed;
  }

  /** One request on a connection of its own. */
  async send(sent: Sent): Promise<Answer> {
    const body =
      sent.body ??
      ((sent.method ?? 'POST') === 'POST'
        ? await this.site.envelope(sent.clientId ?? this.victim)
        : undefined);
    return exchange(
      httpsRequest({
        host: '127.0.0.1',
        port: this.site.gateway.port,
        method: sent.method ?? 'POST',
        path: sent.path ?? '/v1/messages',
        agent: false,
        ca: this.site.keyFolder.tls().ca,
        localAddress: sent.proxy === true ? PROXY : '127.0.0.1',
        // OpenSSL 3.5, in Node 24, would not let a client show a weak key, nor see it refused.
        ciphers: 'DEFAULT@SECLEVEL=0',
        ...(sent.certificate === undefined
          ? {}
          : {
              cert: [sent.certificate.pem, ...(sent.chain ?? [])].join('\n'),
              key: sent.certificate.keyPem,
            }),
        headers: {
          'content-type': PROTOBUF,
          ...(body === undefined ? {} : { 'content-length': body.length }),
          ...(sent.bearer === undefined ? {} : { authorization: `Bearer ${sent.bearer}` }),
          ...sent.headers,
        },
      }),
      body,
    );
  }

  async close(): Promise<void> {
    await this.#queue.close();
    await this.site.close();
    await this.issuer.stop();
  }
}

/** nginx's `$ssl_client_escaped_cert`. */
export function escaped(certificate: { readonly pem: string }): string {
  return encodeURIComponent(`${certificate.pem}\n`);
}

/** A byte sequence of RFC 8941, as RFC 9440 has it. */
export function bytes(certificate: { readonly der: Buffer }): string {
  return `:${certificate.der.toString('base64')}:`;
}
