import type { OidcSettings } from '../../config/index.js';
import { peekDeviceKid, readDeviceKeys, verifyApiToken, type DeviceKey } from '../../jose/index.js';
import type { Clock } from '../../ops/clock.js';
import { isMpeError } from '../../ops/errors.js';
import type { Logger } from '../../ops/log.js';
import type { Person } from '../roles.js';
import type { OidcSignIn } from './oidc.js';
import { SignInRefused } from './problems.js';

/** Keys of the provider are read again after this time, or when a token names another one … */
const KEYS_MS = 3_600_000;
/** … but then no more often than this. */
const UNKNOWN_MS = 30_000;

/** Takes access tokens of API clients: of the provider, for this service's audience. */
export class BearerTokens {
  readonly #settings: OidcSettings;
  readonly #oidc: OidcSignIn;
  readonly #clock: Clock;
  readonly #log: Logger;
  #keys: ReadonlyMap<string, DeviceKey> = new Map();
  #readAt = -Infinity;

  constructor(settings: OidcSettings, oidc: OidcSignIn, clock: Clock, log: Logger) {
    this.#settings = settings;
    this.#oidc = oidc;
    this.#clock = clock;
    this.#log = log;
  }

  /** Who sent a token. @throws SignInRefused REFUSED | NO_ROLE | PROVIDER_AWAY | OFF */
  async person(token: string): Promise<Person> {
    const { audience, issuer } = this.#settings;
    if (audience === null) throw new SignInRefused('OFF');
    try {
      const key = await this.#key(peekDeviceKid(token));
      const claims = await verifyApiToken(token, key, { issuer, audience }, this.#clock.now());
      return this.#oidc.personOf(claims);
    } catch (error) {
      if (error instanceof SignInRefused) throw error;
      const why = isMpeError(error) ? error.message : 'the provider does not answer';
      this.#log.warn({ event: 'api.token_refused', why }, 'an access token was refused');
      throw new SignInRefused(isMpeError(error) ? 'REFUSED' : 'PROVIDER_AWAY', { cause: error });
    }
  }

  async #key(kid: string): Promise<DeviceKey> {
    const age = performance.now() - this.#readAt;
    if (age >= KEYS_MS || (!this.#keys.has(kid) && age >= UNKNOWN_MS)) await this.#read();
    const key = this.#keys.get(kid);
    if (key === undefined) throw new SignInRefused('REFUSED');
    return key;
  }

  async #read(): Promise<void> {
    const { jwks_uri: url } = (await this.#oidc.configuration()).serverMetadata();
    if (url === undefined) throw new Error('the provider publishes no keys');
    const answer = await this.#oidc.fetch(url, { method: 'GET', headers: { accept: 'application/json' } });
    if (!answer.ok) throw new Error(`the provider's keys: it answers ${answer.status}`);
    this.#keys = new Map(readDeviceKeys(await answer.text()).map((key) => [key.kid, key]));
    this.#readAt = performance.now();
  }
}
