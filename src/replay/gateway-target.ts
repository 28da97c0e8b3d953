import { PinnedAgent } from '../client/pinned-agent.js';
import { exchangeHttp, type HttpAnswer } from '../client/http.js';
import { fetchSite } from '../client/site.js';
import { gatewayUrl } from '../client/settings.js';
import { sign } from '../jose/index.js';
import { MpeError } from '../ops/errors.js';
import type { MessageReply, RegistrationReply } from '../protocol/client-message.js';
import {
  decodeMessageReply,
  decodeNonceReply,
  decodeProblem,
  decodeRegistrationReply,
  decodeTokenReply,
} from '../protocol/decode.js';
import {
  encodeEnvelope,
  encodeRegistrationRequest,
  encodeTokenRequest,
  encodeTokenStatement,
} from '../protocol/encode.js';
import { bodyTypeWord } from '../protocol/wire-enums.js';
import type { BuiltMessage, BuiltRegistration } from './built-case.js';
import type { FixtureMaterial } from './material.js';
import type { Answer, ChannelFacts, RegistrationHints, ReplayTarget } from './target.js';

const PROTOBUF = 'application/protobuf';
/** A gateway waits at most 30 seconds for a worker; this is beyond that. */
const TIMEOUT_MS = 45_000;
/** How long a QUEUED answer is asked about, and how often a busy gateway is asked again. */
const PATIENCE_MS = 60_000;

/** Sends fixtures over HTTPS to a running test site, as clients do. */
export class GatewayTarget implements ReplayTarget {
  readonly kind = 'gateway';
  readonly #url: URL;
  readonly #agent: PinnedAgent;
  readonly #material: FixtureMaterial;
  readonly #tokens = new Map<string, string>();

  private constructor(url: URL, agent: PinnedAgent, material: FixtureMaterial) {
    this.#url = url;
    this.#agent = agent;
    this.#material = material;
  }

  /**
   * Finds the site behind a URL and believes it by the fixture site's root key.
   *
   * @throws MpeError USAGE, UNREACHABLE, NOT_AUTHENTIC (not a site made of the fixture keys)
   */
  static async connect(address: string, material: FixtureMaterial): Promise<GatewayTarget> {
    const url = gatewayUrl(address);
    const anchor = {
      url,
      siteGuid: material.siteGuid,
      rootThumbprint: material.site.rootKey.kid,
      heldVersion: 0,
    };
    const { ca } = await fetchSite(anchor, TIMEOUT_MS);
    const agent = new PinnedAgent({ ca, now: Date.now, onDateWarning: () => undefined, maxSockets: 8 });
    return new GatewayTarget(url, agent, material);
  }

  async register(
    built: BuiltRegistration,
    hints: RegistrationHints,
    waitSeconds: number,
  ): Promise<Answer<RegistrationReply>> {
    const body = encodeRegistrationRequest({
      jws: built.jws,
      ...(built.enrolmentToken === null ? {} : { enrolmentToken: built.enrolmentToken }),
      ...(built.previousKeyJws === null ? {} : { previousKeyJws: built.previousKeyJws }),
      ...hints,
    });
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const answer = await this.#post('/v1/clients', body, { prefer: `wait=${waitSeconds}` });
      if (answer.status >= 300) return problem(answer);
      const reply = decodeRegistrationReply(answer.body);
      // As with messages: asked for no wait, QUEUED is an answer.
      if (reply.status !== 'QUEUED' || waitSeconds === 0)
        return { kind: 'reply', reply, status: answer.status };
      if (performance.now() > until) throw stuck('a registration');
    }
  }

  async send(built: BuiltMessage, channel: ChannelFacts, waitSeconds: number): Promise<Answer<MessageReply>> {
    const token = channel.clientId === null ? null : await this.#token(channel);
    if (token !== null && typeof token !== 'string') return token;
    const envelope = encodeEnvelope({
      messageId: built.messageId,
      clientId: built.clientId,
      bodyType: bodyTypeWord(built.bodyType),
      sentAtMs: built.sentAtMs,
      sealed: built.sealed,
      traceparent: '',
      tracestate: '',
    });
    const headers = {
      prefer: `wait=${waitSeconds}`,
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    };
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const answer = await this.#post('/v1/messages', envelope, headers);
      if (answer.status >= 300) return problem(answer);
      const reply = decodeMessageReply(answer.body);
      // Where a case asks for no wait, QUEUED is an answer; else a slow worker is asked again.
      if (reply.disposition !== 'QUEUED' || waitSeconds === 0)
        return { kind: 'reply', reply, status: answer.status };
      if (performance.now() > until) throw stuck(`message ${built.messageId}`);
    }
  }

  keysWritten(): null {
    return null;
  }

  close(): Promise<void> {
    this.#agent.destroy();
    return Promise.resolve();
  }

  /** A site token by the client's test key; a problem where the gateway gives none. */
  async #token({ clientId, key }: ChannelFacts): Promise<string | Answer<never>> {
    if (clientId === null) throw new MpeError('INTERNAL', 'no client, no token');
    const held = this.#tokens.get(`${clientId} ${key.kid}`);
    if (held !== undefined) return held;
    const nonce = await this.#exchange('GET', '/v1/token/nonce');
    if (nonce.status >= 300) return problem(nonce);
    const statement = encodeTokenStatement({
      siteGuid: this.#material.siteGuid,
      clientId,
      nonce: decodeNonceReply(nonce.body).nonce,
    });
    const jws = await sign(statement, key, 'mpe-token+jws');
    const answer = await this.#post('/v1/token', encodeTokenRequest({ jws }), {});
    if (answer.status >= 300) return problem(answer);
    const { accessToken } = decodeTokenReply(answer.body);
    this.#tokens.set(`${clientId} ${key.kid}`, accessToken);
    return accessToken;
  }

  /** A POST that is put off while the gateway says it is busy. */
  async #post(
    path: string,
    body: Uint8Array,
    headers: Readonly<Record<string, string>>,
  ): Promise<HttpAnswer> {
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const answer = await this.#exchange('POST', path, body, headers);
      const busy = answer.status === 503 || answer.status === 429;
      if (!busy || performance.now() > until) return answer;
      await new Promise((resolve) => setTimeout(resolve, 1000 * (answer.retryAfterSeconds ?? 1)));
    }
  }

  #exchange(
    method: 'GET' | 'POST',
    path: string,
    body?: Uint8Array,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<HttpAnswer> {
    return exchangeHttp({
      agent: this.#agent,
      url: new URL(path, this.#url),
      method,
      headers: { accept: PROTOBUF, ...(body === undefined ? {} : { 'content-type': PROTOBUF }), ...headers },
      ...(body === undefined ? {} : { body }),
      timeoutMs: TIMEOUT_MS,
    });
  }
}

function stuck(what: string): MpeError {
  return new MpeError(
    'UNREACHABLE',
    `${what} is still queued after a minute: is a worker running? See mpe status`,
  );
}

function problem(answer: HttpAnswer): Answer<never> {
  let code = '';
  try {
    // Protobuf was asked for; what comes from before the gateway (a proxy) may be anything.
    code = decodeProblem(answer.body).code;
  } catch {
    // A refusal without a readable body: its status says enough.
  }
  return { kind: 'problem', status: answer.status, code };
}
