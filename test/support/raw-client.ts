import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:https';
import { MemoryStateStore, MpeClient } from '../../src/client/index.js';
import { seal, sign } from '../../src/jose/index.js';
import type { Body, ClientMessage, Envelope, MessageReply } from '../../src/protocol/client-message.js';
import { encodeClientMessage } from '../../src/protocol/encode-client-message.js';
import { encodeEnvelope } from '../../src/protocol/envelope.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import type { PrivateJwk, PublicJwk } from '../../src/protocol/jwk.js';
import { decodeMessageReply } from '../../src/protocol/message-reply.js';
import { decodeProblem } from '../../src/protocol/problem.js';
import type { SiteDocument } from '../../src/protocol/site-document.js';
import {
  decodeNonceReply,
  decodeTokenReply,
  encodeTokenRequest,
  encodeTokenStatement,
} from '../../src/protocol/site-token.js';

const PROTOBUF = 'application/protobuf';

/** What a gateway answered, as it came. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/**
 * A registered client that sends whatever bytes a test wants, with a good channel: what a hostile
 * or broken client program could do.
 */
export class RawClient {
  readonly clientId: Guid;
  readonly siteGuid: Guid;
  readonly key: PrivateJwk;
  readonly site: SiteDocument;
  readonly #url: string;
  readonly #agent: Agent;
  #token = '';
  #sequence = 1n;

  private constructor(url: string, state: Record<string, unknown>, site: SiteDocument) {
    this.#url = url;
    this.clientId = state['clientId'] as Guid;
    this.siteGuid = state['siteGuid'] as Guid;
    this.key = state['key'] as PrivateJwk;
    this.site = site;
    this.#agent = new Agent({ keepAlive: true, ca: state['gatewayCa'] as string });
  }

  /** Enrols as the reference client does and takes its identity over. */
  static async enrol(url: string, enrolmentToken: string, machineName = 'DESKTOP-0042'): Promise<RawClient> {
    const store = new MemoryStateStore();
    const client = await MpeClient.enrol({ url, enrolmentToken, state: store, machine: { machineName } });
    const text = await store.read();
    await client.close();
    const raw = new RawClient(url, JSON.parse(text ?? '{}') as Record<string, unknown>, client.site);
    await raw.renewToken();
    return raw;
  }

  /** The site's RSA sealing key. */
  get sealingKey(): PublicJwk {
    const key = this.site.sealingKeys.find((one) => one.alg === 'RSA-OAEP-256');
    if (key === undefined) throw new Error('the site offers no RSA key');
    return key;
  }

  async renewToken(): Promise<void> {
    const { nonce } = decodeNonceReply((await this.call('GET', '/v1/token/nonce')).body);
    const statement = encodeTokenStatement({ siteGuid: this.siteGuid, clientId: this.clientId, nonce });
    const jws = await sign(statement, this.key, 'mpe-token+jws');
    const answer = await this.call('POST', '/v1/token', encodeTokenRequest({ jws }));
    this.#token = decodeTokenReply(answer.body).accessToken;
  }

  /** A message of this client, each with the next sequence; parts may be replaced. */
  message(body: Body, more: Partial<ClientMessage> = {}): ClientMessage {
    const sequence = this.#sequence;
    this.#sequence += 1n;
    return {
      siteGuid: this.siteGuid,
      messageId: newGuid(),
      clientId: this.clientId,
      bodyType: body.type,
      replyKey: randomBytes(32),
      sequence,
      createdAtMs: Date.now(),
      clientVersion: 'raw-client/1',
      body,
      ...more,
    };
  }

  /** Signs and seals a message, with this client's key and the site's unless told otherwise. */
  async sealed(
    message: ClientMessage,
    keys: { readonly signing?: PrivateJwk; readonly sealing?: PublicJwk } = {},
  ): Promise<string> {
    return this.sealedBytes(encodeClientMessage(message), keys);
  }

  /** Signs and seals bytes that need not be a message. */
  async sealedBytes(
    payload: Uint8Array,
    keys: { readonly signing?: PrivateJwk; readonly sealing?: PublicJwk } = {},
  ): Promise<string> {
    const jws = await sign(payload, keys.signing ?? this.key, 'mpe-msg+jws');
    return seal(Buffer.from(jws), keys.sealing ?? this.sealingKey, 'mpe-env');
  }

  /** The envelope around a sealed message. */
  envelope(message: ClientMessage, sealed: string, more: Partial<Envelope> = {}): Buffer {
    return encodeEnvelope({
      messageId: message.messageId,
      clientId: message.clientId,
      bodyType: message.bodyType,
      sentAtMs: Date.now(),
      sealed,
      traceparent: '',
      tracestate: '',
      ...more,
    });
  }

  /** POST /v1/messages with a wait. */
  async post(envelope: Uint8Array, headers: Record<string, string> = {}): Promise<RawAnswer> {
    return this.call('POST', '/v1/messages', envelope, {
      authorization: `Bearer ${this.#token}`,
      prefer: 'wait=20',
      ...headers,
    });
  }

  /** GET with the channel's token. */
  async get(path: string, headers: Record<string, string> = {}): Promise<RawAnswer> {
    return this.call('GET', path, undefined, { authorization: `Bearer ${this.#token}`, ...headers });
  }

  /** Any call. */
  call(
    method: string,
    path: string,
    body?: Uint8Array,
    headers: Record<string, string> = {},
  ): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      const sent = request(
        new URL(path, this.#url),
        {
          method,
          agent: this.#agent,
          headers: {
            accept: PROTOBUF,
            ...(body === undefined ? {} : { 'content-type': PROTOBUF, 'content-length': body.length }),
            ...headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.once('error', reject);
          response.once('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks),
            }),
          );
        },
      );
      sent.once('error', reject);
      sent.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** The reply of an answer, or the code of its problem: what a test compares. */
export function answerOf(answer: RawAnswer): { status: number; reply?: MessageReply; problem?: string } {
  const { status } = answer;
  if (status === 200 || status === 202) return { status, reply: decodeMessageReply(answer.body) };
  const type = String(answer.headers['content-type'] ?? '');
  if (type.startsWith(PROTOBUF)) return { status, problem: decodeProblem(answer.body).code };
  return { status, problem: (JSON.parse(answer.body.toString() || '{}') as { code?: string }).code ?? '' };
}
