import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import type { GatewayLimits } from '../config/index.js';
import type { JobChannel, LimitedKey, LimitVerdict, RateLimits } from '../queue/index.js';
import { clientAddress, networkOf, type Proxies } from '../ops/peer.js';
import { HttpProblem } from './problems.js';

/**
 * What a request without an accepted identity costs its address on a route that needs one: such a
 * request makes work (signatures, a look at the tenant's keys) and is of no use.
 */
const REFUSED_COST = 10;

/** The rate limits of a gateway, as its hooks use them. */
export class Limits {
  readonly #rates: RateLimits;
  readonly #limits: GatewayLimits;
  readonly #proxies: Proxies;

  constructor(rates: RateLimits, limits: GatewayLimits, proxies: Proxies) {
    this.#rates = rates;
    this.#limits = limits;
    this.#proxies = proxies;
  }

  /** For every request, before anything else is done: whose address was refused a moment ago is so again. */
  readonly refuseLately: onRequestAsyncHookHandler = async (request) => {
    for (const { name } of this.#ofAddress(request)) assertAllowed(this.#rates.refusedLately(name));
    return Promise.resolve();
  };

  /** For routes that anybody may ask. */
  readonly address: onRequestAsyncHookHandler = async (request) => {
    assertAllowed(await this.#rates.take(this.#ofAddress(request)));
  };

  /** For registrations: by address, with a limit of their own. */
  readonly registration: onRequestAsyncHookHandler = async (request) => {
    const keys = this.#ofAddress(request);
    const limit = this.#limits.registration;
    const [address] = keys;
    if (limit !== null && address !== undefined) keys.push({ name: `registration:${address.name}`, limit });
    assertAllowed(await this.#rates.take(keys));
  };

  /**
   * For routes that need an identity: address and client in one question to Redis, after the
   * identity is known.
   *
   * @throws HttpProblem RATE_LIMITED, or what `identity` throws.
   */
  async identified(request: FastifyRequest, identity: Promise<JobChannel>): Promise<JobChannel> {
    let channel: JobChannel;
    try {
      channel = await identity;
    } catch (error) {
      const keys = this.#ofAddress(request).map((key) => ({ ...key, cost: REFUSED_COST }));
      if (error instanceof HttpProblem && error.status < 500) await this.#rates.take(keys);
      throw error;
    }
    const keys = this.#ofAddress(request);
    const { client } = this.#limits;
    if (client !== null) keys.push({ name: `client:${channel.clientId}`, limit: client });
    assertAllowed(await this.#rates.take(keys));
    return channel;
  }

  /** None where the limit is off, or the address is a listed proxy's, which stands for many. */
  #ofAddress(request: FastifyRequest): LimitedKey[] {
    const { address: limit } = this.#limits;
    if (limit === null) return [];
    const address = clientAddress(request, this.#proxies);
    if (this.#proxies.has(address) || address === '') return [];
    return [{ name: `address:${networkOf(address)}`, limit }];
  }
}

/** Spreads a crowd that was refused at once over as long again as it has to wait, from a second on. */
function assertAllowed(verdict: LimitVerdict): void {
  if (verdict.allowed) return;
  const least = Math.max(1, Math.ceil(verdict.retryAfterMs / 1000));
  const seconds = least + Math.floor(Math.random() * (Math.min(least, 30) + 1));
  throw new HttpProblem(
    'RATE_LIMITED',
    `Too many requests of this ${verdict.name.startsWith('client:') ? 'client' : 'address'}. Send the same request again after Retry-After.`,
    { headers: { 'retry-after': String(seconds) } },
  );
}
