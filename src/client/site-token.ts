import { sign } from '../jose/index.js';
import {
  decodeNonceReply,
  decodeTokenReply,
  encodeTokenRequest,
  encodeTokenStatement,
} from '../protocol/site-token.js';
import type { ClientContext, TokenSource } from './context.js';
import { callGateway, problemOf } from './gateway-call.js';

/** A token at most this old (as a share of its life) is used; then a new one is fetched. */
const RENEW_AT = 0.9;

interface Cached {
  readonly text: string;
  /** On the monotonic clock. */
  readonly goodUntilMs: number;
}

/**
 * The client's site token: fetched on demand, kept in memory alone, its life counted on the
 * monotonic clock from receipt, so that the wall clock may stand anywhere.
 */
export class SiteToken implements TokenSource {
  #cached: Cached | null = null;
  #fetching: Promise<Cached> | null = null;

  /**
   * A token that should still be good.
   *
   * @throws MpeError UNREACHABLE, NOT_AUTHENTIC or HTTP_PROBLEM (facts.status 401: the site does
   *   not accept this client's proof).
   */
  async get(context: ClientContext): Promise<string> {
    if (this.#cached !== null && performance.now() < this.#cached.goodUntilMs) return this.#cached.text;
    this.#fetching ??= fetchToken(context).finally(() => {
      this.#fetching = null;
    });
    this.#cached = await this.#fetching;
    return this.#cached.text;
  }

  /** Drops a token that the site refused; a newer one that somebody fetched meanwhile stays. */
  drop(refused: string): void {
    if (this.#cached?.text === refused) this.#cached = null;
  }
}

async function fetchToken(context: ClientContext): Promise<Cached> {
  const { agent, url, settings, keeper } = context;
  const call = { agent, url, settings };
  const first = await callGateway({ ...call, method: 'GET', path: '/v1/token/nonce' });
  if (first.status !== 200) throw problemOf('GET /v1/token/nonce', first);
  const { nonce } = decodeNonceReply(first.body);
  const { siteGuid, clientId, key } = keeper.state;
  const jws = await sign(encodeTokenStatement({ siteGuid, clientId, nonce }), key, 'mpe-token+jws');
  const second = await callGateway({
    ...call,
    method: 'POST',
    path: '/v1/token',
    body: encodeTokenRequest({ jws }),
  });
  if (second.status !== 200) throw problemOf('POST /v1/token', second);
  const { accessToken, lifetimeSeconds } = decodeTokenReply(second.body);
  settings.onEvent({ event: 'client.token-obtained', lifetimeSeconds });
  return { text: accessToken, goodUntilMs: performance.now() + lifetimeSeconds * 1000 * RENEW_AT };
}
