import { createHash, generateKeyPairSync, randomBytes, randomUUID, X509Certificate } from 'node:crypto';
import type { JsonWebKey, KeyObject } from 'node:crypto';
import { Agent, request } from 'node:https';
import { TLSSocket, type DetailedPeerCertificate } from 'node:tls';
import { openReply, sealRsa, signJws, thumbprint, verifyJws } from './jose.js';
import { bytes, bytesOf, int, intOf, messagesOf, read } from './protobuf.js';

/**
 * A client written from docs/protocol.md alone: node:crypto, node:https and protobuf bytes by hand.
 * It imports nothing of the product, so that it fails when the page and the product part.
 */

const PROTOBUF = 'application/protobuf';
export const DISPOSITIONS = [
  '',
  'QUEUED',
  'COMMITTED',
  'ALREADY_COMMITTED',
  'PARTIAL',
  'REJECTED',
  'QUARANTINED',
];

/** A GUID's wire bytes: the order of its text. */
const guid = (text: string): Buffer => Buffer.from(text.replaceAll('-', ''), 'hex');
const hex = (data: Buffer): string => data.toString('hex');

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
  readonly chain: readonly X509Certificate[];
}

/** What a verified reply said. */
export interface Verdict {
  readonly disposition: string;
  readonly reason: bigint;
  /** Key ID (hex) → item status (1 committed, 2 rejected, 3 secret required), item reason, bad group. */
  readonly keys: ReadonlyMap<string, { status: bigint; reason: bigint; badGroup: bigint }>;
  readonly highestSequence: bigint;
  readonly documentVersion: bigint;
}

/** A message as it is kept: the payload's bytes, never encoded again. */
export interface Message {
  readonly id: string;
  readonly bodyType: number;
  readonly payload: Buffer;
  readonly replyKey: Buffer;
}

/** One client. */
export class PageClient {
  readonly clientId = randomUUID();
  sequence = 0n;
  readonly #url: string;
  readonly #key: KeyObject;
  readonly #jwk: JsonWebKey;
  #agent: Agent;
  #site = { guid: '', sealing: {} as JsonWebKey & { kid: string } };
  #token = '';
  #registration = Buffer.alloc(0);

  constructor(url: string) {
    this.#url = url;
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#key = privateKey;
    this.#jwk = publicKey.export({ format: 'jwk' });
    // First contact: nothing is trusted yet.
    this.#agent = new Agent({ rejectUnauthorized: false });
  }

  /** First trust: token → root → document → CA → TLS. */
  async trust(enrolmentToken: string): Promise<void> {
    const [form, siteHex = '', root = ''] = enrolmentToken.split('.');
    if (form !== 'mpe1') throw new Error('no enrolment token');
    const { body, chain } = await this.#call('GET', '/v1/site');
    const jws = body.toString('ascii');
    const claimed = JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString()) as {
      rootKey: JsonWebKey;
    };
    if (thumbprint(claimed.rootKey) !== root) throw new Error('another root');
    const document = JSON.parse(verifyJws(jws, claimed.rootKey, 'mpe-site+jws').toString()) as {
      siteGuid: string;
      gatewayCaThumbprint: string;
      sealingKeys: (JsonWebKey & { kid: string; alg: string })[];
    };
    if (hex(guid(document.siteGuid)) !== siteHex) throw new Error('another site');
    const ca = chain.find(
      (one) => createHash('sha256').update(one.raw).digest('hex') === document.gatewayCaThumbprint,
    );
    const sealing = document.sealingKeys.find((one) => one.alg === 'RSA-OAEP-256');
    if (ca === undefined || sealing === undefined) throw new Error('no CA or no key');
    this.#site = { guid: document.siteGuid, sealing };
    // A new connection: nothing secret goes over the untrusted one.
    this.#agent.destroy();
    this.#agent = new Agent({ ca: ca.toString(), keepAlive: true });
  }

  /** POST /v1/clients; the same bytes each time. Returns the status' number. */
  async register(enrolmentToken: string): Promise<bigint> {
    const secretText = enrolmentToken.split('.')[3] ?? '';
    if (this.#registration.length === 0) {
      const statement = Buffer.concat([
        bytes(1, guid(this.#site.guid)),
        bytes(2, guid(randomUUID())),
        bytes(3, guid(this.clientId)),
        bytes(4, Buffer.from(this.#jwk.x ?? '', 'base64url')),
        bytes(5, Buffer.from(this.#jwk.y ?? '', 'base64url')),
        int(6, Date.now()),
        bytes(7, createHash('sha256').update(Buffer.from(secretText, 'base64url')).digest()),
      ]);
      this.#registration = Buffer.concat([
        bytes(1, signJws(statement, this.#key, thumbprint(this.#jwk), 'mpe-reg+jws')),
        bytes(2, secretText),
        bytes(3, 'PAGE-CLIENT'),
      ]);
    }
    const { body } = await this.#call('POST', '/v1/clients', this.#registration, { prefer: 'wait=10' });
    return intOf(read(body), 2);
  }

  /** Nonce, proof, token. */
  async authenticate(): Promise<void> {
    const nonce = bytesOf(read((await this.#call('GET', '/v1/token/nonce')).body), 1);
    const statement = Buffer.concat([
      bytes(1, guid(this.#site.guid)),
      bytes(2, guid(this.clientId)),
      bytes(3, nonce),
    ]);
    const jws = signJws(statement, this.#key, thumbprint(this.#jwk), 'mpe-token+jws');
    const { status, body } = await this.#call('POST', '/v1/token', bytes(1, jws));
    if (status !== 200) throw new Error(`no token: ${String(status)}`);
    this.#token = bytesOf(read(body), 1).toString('ascii');
  }

  /** Makes a message; a real client has it on disk before it goes on. */
  message(bodyType: number, bodyField: number, body: Buffer): Message {
    const id = randomUUID();
    const replyKey = randomBytes(32);
    this.sequence += 1n;
    const payload = Buffer.concat([
      bytes(1, guid(this.#site.guid)),
      bytes(2, guid(id)),
      bytes(3, guid(this.clientId)),
      int(4, bodyType),
      bytes(5, replyKey),
      int(6, this.sequence),
      int(7, Date.now()),
      bytes(8, 'page-client/1'),
      bytes(bodyField, body),
    ]);
    return { id, bodyType, payload, replyKey };
  }

  /** One volume with its protectors. */
  escrow(volumeId: string, protectors: readonly { keyId: string; password?: string }[]): Message {
    const volume = Buffer.concat([
      bytes(1, guid(volumeId)),
      int(2, 1),
      bytes(3, 'C:'),
      ...protectors.map(({ keyId, password }) =>
        bytes(
          4,
          Buffer.concat([
            bytes(1, guid(keyId)),
            password === undefined ? Buffer.alloc(0) : bytes(2, password),
          ]),
        ),
      ),
    ]);
    return this.message(1, 16, bytes(1, volume));
  }

  /** Sends it, signed and sealed anew, until a reply verifies. */
  async send(message: Message): Promise<Verdict> {
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const jws = signJws(message.payload, this.#key, thumbprint(this.#jwk), 'mpe-msg+jws');
      const envelope = Buffer.concat([
        bytes(1, guid(message.id)),
        bytes(2, guid(this.clientId)),
        int(3, message.bodyType),
        int(4, Date.now()),
        bytes(5, sealRsa(jws, this.#site.sealing)),
      ]);
      const answer = await this.#call('POST', '/v1/messages', envelope, { prefer: 'wait=10' });
      const verdict = this.#read(answer, message);
      if (verdict !== null) return verdict;
    }
    throw new Error('no verified reply');
  }

  /** GET /v1/messages/{id}: null where there is no verified reply; the status beside it. */
  async ask(message: Message): Promise<{ status: number; verdict: Verdict | null }> {
    const answer = await this.#call('GET', `/v1/messages/${message.id}`);
    return { status: answer.status, verdict: answer.status === 404 ? null : this.#read(answer, message) };
  }

  /** Verifies a MessageReply. Only its sealed part counts. */
  #read(answer: Answer, message: Message): Verdict | null {
    if (answer.status !== 200 && answer.status !== 202) throw new Error(`HTTP ${String(answer.status)}`);
    if (answer.type !== PROTOBUF) throw new Error(`answered as ${answer.type}`);
    const sealed = bytesOf(read(answer.body), 7).toString('ascii');
    if (sealed === '') return null;
    const reply = read(openReply(sealed, message.replyKey, message.id));
    const digest = createHash('sha256').update(message.payload).digest();
    const wanted = [guid(this.#site.guid), guid(this.clientId), guid(message.id), digest];
    wanted.forEach((value, index) => {
      if (!bytesOf(reply, index + 1).equals(value)) throw new Error(`field ${String(index + 1)} is not ours`);
    });
    const keys = messagesOf(reply, 8).flatMap((volume) => messagesOf(volume, 4));
    return {
      disposition: DISPOSITIONS[Number(intOf(reply, 5))] ?? 'unknown',
      reason: intOf(reply, 6),
      keys: new Map(
        keys.map((key) => [
          hex(bytesOf(key, 1)),
          { status: intOf(key, 2), reason: intOf(key, 3), badGroup: intOf(key, 4) },
        ]),
      ),
      highestSequence: intOf(reply, 12),
      documentVersion: intOf(reply, 13),
    };
  }

  close(): void {
    this.#agent.destroy();
  }

  #call(method: string, path: string, body?: Buffer, more: Record<string, string> = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request(
        new URL(path, this.#url),
        {
          method,
          agent: this.#agent,
          headers: {
            accept: path === '/v1/site' ? 'application/jose' : PROTOBUF,
            ...(body === undefined
              ? {}
              : { 'content-type': PROTOBUF, 'content-length': String(body.length) }),
            ...(this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` }),
            ...more,
          },
        },
        (response) => {
          const chain = response.socket instanceof TLSSocket ? chainOf(response.socket) : [];
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('error', reject);
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              type: response.headers['content-type'] ?? '',
              body: Buffer.concat(parts),
              chain,
            }),
          );
        },
      );
      sent.on('error', reject);
      sent.end(body);
    });
  }
}

function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  while (next?.raw !== undefined && chain.every((one) => one.fingerprint256 !== next?.fingerprint256)) {
    chain.push(new X509Certificate(next.raw));
    next = next.issuerCertificate;
  }
  return chain;
}
