import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createLogger, type Logger } from '../../src/ops/log.js';
import { systemClock } from '../../src/ops/clock.js';
import { generatePrivateKey, openReply, publicPart, seal, sign } from '../../src/jose/index.js';
import type { Body, MessageReply, ReplyStatement } from '../../src/protocol/client-message.js';
import { decodeReplyStatement } from '../../src/protocol/decode.js';
import { encodeClientMessage, encodeRegistrationStatement } from '../../src/protocol/encode.js';
import { guidToBytes, newGuid, type Guid } from '../../src/protocol/guid.js';
import type { PrivateJwk, PublicJwk } from '../../src/protocol/jwk.js';
import { bodyTypeNumber } from '../../src/protocol/wire-enums.js';
import type { MessageJob, RegistrationJob } from '../../src/queue/index.js';
import { createCertificate } from '../../src/secrets/create-certificate.js';
import { createSite } from '../../src/secrets/create-site.js';
import { openKeyFolder, type KeyFolder } from '../../src/secrets/key-folder.js';
import { createSiteTls } from '../../src/secrets/site-ca.js';
import { openStore, type StoreLocation } from '../../src/store/open-store.js';
import type { SiteSeed, SiteStore } from '../../src/store/site-store.js';
import { Pipeline, type PipelineOptions } from '../../src/workers/pipeline.js';
import { tempFolder } from '../support/temp.js';

/** What differs from the site that `mpe site init` makes. */
export interface SiteChanges {
  readonly plaintextConsent?: boolean;
  readonly seed?: (seed: SiteSeed) => SiteSeed;
  /** An empty database with the schema; absent: an SQLite file in the site's folder. */
  readonly location?: StoreLocation;
}

// RSA keys take seconds to make: one set a test file.
type Material = NonNullable<Parameters<typeof createSite>[0]['material']>;
let shared: Promise<Material & { readonly sealingKeys: readonly PrivateJwk[] }> | null = null;
const sharedMaterial = (): NonNullable<typeof shared> => (shared ??= makeShared());
async function makeShared(): Promise<Material & { readonly sealingKeys: readonly PrivateJwk[] }> {
  const [rsa, ecdh, certificate, tls] = await Promise.all([
    generatePrivateKey('RSA-OAEP-256', 2048),
    generatePrivateKey('ECDH-ES+A256KW'),
    createCertificate(Date.now()),
    createSiteTls(newGuid(), ['localhost'], Date.now()),
  ]);
  return { sealingKeys: [rsa, ecdh], certificate, tls };
}

/** A real site in a folder of its own: key folder, database, open store. */
export class TestSite {
  readonly folder: string;
  readonly store: SiteStore;
  readonly keyFolder: KeyFolder;
  readonly siteGuid: Guid;
  readonly sealingKeys: readonly PublicJwk[];
  readonly tokenHash: string;
  /** Every line that was logged. */
  readonly lines: Record<string, unknown>[] = [];
  readonly log: Logger;

  private constructor(
    folder: string,
    store: SiteStore,
    keyFolder: KeyFolder,
    keys: readonly PublicJwk[],
    tokenHash: string,
  ) {
    this.folder = folder;
    this.store = store;
    this.keyFolder = keyFolder;
    this.siteGuid = keyFolder.siteGuid;
    this.sealingKeys = keys;
    this.tokenHash = tokenHash;
    this.log = createLogger(
      'test',
      { logLevel: 'trace' },
      {
        stream: { write: (line: string) => void this.lines.push(JSON.parse(line)) },
      },
    );
  }

  static async create(changes: SiteChanges = {}, folder = tempFolder('mpe-site-')): Promise<TestSite> {
    const keysDir = join(folder, 'keys');
    const created = await createSite({
      name: 'TEST',
      keysDir,
      hostnames: [],
      testSite: true,
      plaintextConsent: changes.plaintextConsent ?? false,
      now: Date.now(),
      material: await sharedMaterial(),
    });
    const store = await openStore(changes.location ?? { kind: 'sqlite', path: join(folder, 'site.db') });
    await store.createSite(changes.seed === undefined ? created.seed : changes.seed(created.seed));
    return new TestSite(
      folder,
      store,
      await openKeyFolder(keysDir, 'operator'),
      created.document.sealingKeys,
      Buffer.from(created.seed.enrolmentTokens[0]!.secretHash).toString('hex'),
    );
  }

  /** A pipeline over the site; `store` may be wrapped to inject faults. */
  async pipeline(options: Partial<PipelineOptions> = {}): Promise<Pipeline> {
    return Pipeline.create({
      store: this.store,
      keyFolder: this.keyFolder,
      clock: systemClock(),
      log: this.log,
      by: 'test/1',
      ...options,
    });
  }

  /** A registered client. */
  async client(): Promise<TestClient> {
    const client = await TestClient.unregistered(this);
    const result = await this.store.commitRegistration({
      clientId: client.clientId,
      registrationId: newGuid(),
      kid: client.key.kid,
      publicJwk: JSON.stringify(publicPart(client.key)),
      enrolmentTokenHash: Buffer.from(this.tokenHash, 'hex'),
      provenByKid: null,
      machineName: 'PC-1',
      domain: 'CORP',
      hardwareId: '',
      joinType: 'DOMAIN',
      atMs: Date.now(),
    });
    if (result.status !== 'REGISTERED') throw new Error(`registration: ${result.reason}`);
    return client;
  }
}

/** What a test changes of a message before it is signed, sealed or queued. */
export interface Tamper {
  readonly messageId?: Guid;
  readonly signedMessageId?: Guid;
  readonly signedClientId?: Guid;
  readonly siteGuid?: Guid;
  readonly sequence?: bigint;
  readonly payload?: (payload: Buffer) => Uint8Array;
  readonly signer?: PrivateJwk;
  readonly recipient?: PublicJwk;
  readonly jws?: (jws: string) => string;
  readonly sealed?: (sealed: string) => string;
  readonly job?: Partial<MessageJob>;
}

/** A message as a client keeps it. */
export interface Sent {
  readonly job: MessageJob;
  readonly replyKey: Buffer;
  readonly payload: Uint8Array;
}

/** A client that signs and seals by the wire contract, without the reference client. */
export class TestClient {
  readonly site: TestSite;
  readonly clientId: Guid;
  readonly key: PrivateJwk;
  sequence = 0n;

  constructor(site: TestSite, clientId: Guid, key: PrivateJwk) {
    this.site = site;
    this.clientId = clientId;
    this.key = key;
  }

  static async unregistered(site: TestSite): Promise<TestClient> {
    return new TestClient(site, newGuid(), await generatePrivateKey('ES256'));
  }

  /** Makes a message ready for the queue. */
  async message(body: Body, tamper: Tamper = {}): Promise<Sent> {
    const messageId = tamper.messageId ?? newGuid();
    const replyKey = randomBytes(32);
    const encoded = Buffer.from(
      encodeClientMessage({
        siteGuid: tamper.siteGuid ?? this.site.siteGuid,
        messageId: tamper.signedMessageId ?? messageId,
        clientId: tamper.signedClientId ?? this.clientId,
        bodyType: body.type,
        replyKey,
        sequence: tamper.sequence ?? (this.sequence += 1n),
        createdAtMs: Date.now(),
        clientVersion: 'test 1',
        body,
      }),
    );
    const payload = tamper.payload?.(encoded) ?? encoded;
    return this.seal(messageId, payload, replyKey, bodyTypeNumber(body.type), tamper);
  }

  /** Signs and seals given bytes, e.g. the same ones again. */
  async seal(
    messageId: Guid,
    payload: Uint8Array,
    replyKey: Buffer,
    bodyType: number,
    tamper: Tamper = {},
  ): Promise<Sent> {
    const signed = await sign(payload, tamper.signer ?? this.key, 'mpe-msg+jws');
    const jws = tamper.jws?.(signed) ?? signed;
    const sealed = await seal(
      Buffer.from(jws, 'latin1'),
      tamper.recipient ?? this.site.sealingKeys[0]!,
      'mpe-env',
    );
    const job: MessageJob = {
      v: 1,
      kind: 'message',
      clientId: this.clientId,
      messageId,
      bodyType,
      sentAtMs: Date.now(),
      sealed: tamper.sealed?.(sealed) ?? sealed,
      traceparent: '',
      tracestate: '',
      channel: { method: 'site-token', clientId: this.clientId, epoch: 1 },
      gatewayId: 'gw-test',
      receivedAtMs: Date.now(),
      ...tamper.job,
    };
    return { job, replyKey, payload };
  }

  /** A registration of this client's key, as a gateway queues it. */
  async registration(
    change: { site?: Guid; tokenHash?: string | null; signedTokenHash?: string; previous?: PrivateJwk } = {},
  ): Promise<RegistrationJob> {
    const registrationId = newGuid();
    const tokenHash = change.tokenHash === undefined ? this.site.tokenHash : change.tokenHash;
    const statement = encodeRegistrationStatement({
      siteGuid: change.site ?? this.site.siteGuid,
      registrationId,
      clientId: this.clientId,
      publicKeyX: Buffer.from(this.key.x!, 'base64url'),
      publicKeyY: Buffer.from(this.key.y!, 'base64url'),
      createdAtMs: Date.now(),
      enrolmentTokenSha256: Buffer.from(change.signedTokenHash ?? tokenHash ?? '', 'hex'),
    });
    return {
      v: 1,
      kind: 'registration',
      clientId: this.clientId,
      registrationId,
      jws: await sign(statement, this.key, 'mpe-reg+jws'),
      previousKeyJws: change.previous ? await sign(statement, change.previous, 'mpe-reg+jws') : null,
      enrolmentTokenHash: tokenHash,
      machineName: 'PC-1',
      domain: 'CORP',
      hardwareId: '',
      joinType: 'DOMAIN',
      gatewayId: 'gw-test',
      receivedAtMs: Date.now(),
    };
  }
}

/** Opens the sealed part of a reply as its client does, and checks that it answers these bytes. */
export async function statementOf(sent: Sent, reply: MessageReply): Promise<ReplyStatement> {
  const statement = decodeReplyStatement(
    await openReply(reply.sealedReply, sent.replyKey, sent.job.messageId),
  );
  const digest = createHash('sha256').update(sent.payload).digest();
  if (Buffer.compare(digest, statement.payloadDigest) !== 0) throw new Error('another payload is answered');
  return statement;
}

/** A valid recovery password, different for each number below 65536. */
export function password(n: number): string {
  return Array.from({ length: 8 }, (_, i) =>
    String(((n * 7919 + i * 104_729) % 65_536) * 11).padStart(6, '0'),
  ).join('-');
}

/** One volume with protectors, ready for an escrow body. */
export function volume(
  protectors: readonly { keyId?: Guid | Uint8Array; password?: string; keyPackage?: Uint8Array }[],
  more: { volumeId?: Guid | Uint8Array; type?: 'OS' | 'FIXED' | 'REMOVABLE'; label?: string } = {},
): Extract<Body, { type: 'ESCROW_RECOVERY_KEYS' }>['volumes'][number] {
  const bytes = (id: Guid | Uint8Array): Uint8Array => (typeof id === 'string' ? guidToBytes(id) : id);
  return {
    volumeId: bytes(more.volumeId ?? newGuid()),
    volumeType: more.type ?? 'OS',
    driveLabel: more.label ?? 'C:',
    protection: 'ON',
    protectors: protectors.map((p) => ({
      keyId: bytes(p.keyId ?? newGuid()),
      ...(p.password === undefined ? {} : { recoveryPassword: p.password }),
      ...(p.keyPackage === undefined ? {} : { keyPackage: p.keyPackage }),
    })),
  };
}

/** An escrow body. */
export function escrow(...volumes: ReturnType<typeof volume>[]): Body {
  return { type: 'ESCROW_RECOVERY_KEYS', volumes };
}

/** A check-in that reports volumes by GUID and key IDs. */
export function checkIn(
  volumes: readonly { volumeId: Guid; keyIds: readonly Guid[]; type?: 'OS' | 'FIXED' | 'REMOVABLE' }[] = [],
  more: Partial<Extract<Body, { type: 'CHECK_IN' }>> = {},
): Body {
  return {
    type: 'CHECK_IN',
    volumes: volumes.map((v) => ({
      volumeId: guidToBytes(v.volumeId),
      volumeType: v.type ?? 'OS',
      driveLabel: 'C:',
      protection: 'ON',
      keyIds: v.keyIds.map(guidToBytes),
    })),
    machineName: 'PC-1',
    domain: 'CORP',
    users: [{ domain: 'CORP', name: 'anna' }],
    otherManagers: [],
    ...more,
  };
}
