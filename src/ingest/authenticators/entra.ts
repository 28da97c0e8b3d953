import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { peekDeviceKid, verifyDeviceToken, type DeviceKey, type DeviceTokenRules } from '../../jose/index.js';
import type { Clock } from '../../ops/clock.js';
import { isMpeError } from '../../ops/errors.js';
import type { Logger } from '../../ops/log.js';
import type { Guid } from '../../protocol/guid.js';
import type { JobChannel } from '../../queue/index.js';
import { bearerOf } from '../bearer.js';
import { HttpProblem } from '../problems.js';
import type { Authenticator } from './authenticator.js';
import type { DeviceKeys } from './device-keys.js';

interface Remembered {
  readonly key: DeviceKey;
  readonly deviceId: Guid;
  readonly expiresAtMs: number;
}

const REMEMBERED = 10_000;

/**
 * Entra device token: a JWT for this gateway's audience by the issuer of one tenant, whose claim
 * `deviceid` is the client id.
 */
export class EntraAuthenticator implements Authenticator {
  readonly challenge = 'Bearer realm="mpe"';
  readonly #rules: DeviceTokenRules;
  readonly #keys: DeviceKeys;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #remembered = new Map<string, Remembered>();

  constructor(rules: DeviceTokenRules, keys: DeviceKeys, clock: Clock, log: Logger) {
    this.#rules = rules;
    this.#keys = keys;
    this.#clock = clock;
    this.#log = log;
  }

  /** @throws HttpProblem DEVICE_TOKEN_INVALID | CHANNEL_UNAVAILABLE */
  async authenticate(request: FastifyRequest): Promise<JobChannel | null> {
    const bearer = bearerOf(request);
    if (bearer === null || bearer.isSiteToken) return null;
    const deviceId = await this.#verify(bearer.token);
    return { method: 'entra', clientId: deviceId, subject: `${this.#rules.tenantId}/${deviceId}` };
  }

  async #verify(token: string): Promise<Guid> {
    const nowMs = this.#clock.now();
    // A hash, so that a dump of the memory holds no tokens.
    const digest = createHash('sha256').update(token).digest('base64');
    const known = this.#remembered.get(digest);
    // A key that the issuer withdrew takes its tokens with it.
    if (known !== undefined && known.expiresAtMs > nowMs && this.#keys.holds(known.key))
      return known.deviceId;
    this.#remembered.delete(digest);
    try {
      const key = await this.#keys.find(peekDeviceKid(token));
      const facts = await verifyDeviceToken(token, key, this.#rules, nowMs);
      this.#remember(digest, { key, ...facts });
      return facts.deviceId;
    } catch (error) {
      if (isMpeError(error, 'UNREACHABLE')) {
        throw new HttpProblem(
          'CHANNEL_UNAVAILABLE',
          'The keys that device tokens are checked with cannot be fetched. Send the same request again later.',
          { cause: error },
        );
      }
      if (!isMpeError(error, 'CANNOT_OPEN') && !isMpeError(error, 'KID_UNKNOWN')) throw error;
      this.#log.warn({ event: 'gateway.device_token_refused', detail: error.message });
      throw new HttpProblem(
        'DEVICE_TOKEN_INVALID',
        'The device token is expired, or not one for this site. Get one new token from the tenant, then back off. Do not register anew.',
        { headers: { 'www-authenticate': `${this.challenge}, error="invalid_token"` }, cause: error },
      );
    }
  }

  #remember(digest: string, entry: Remembered): void {
    if (this.#remembered.size >= REMEMBERED) {
      const oldest = this.#remembered.keys().next();
      if (oldest.done !== true) this.#remembered.delete(oldest.value);
    }
    this.#remembered.set(digest, entry);
  }

  close(): void {
    this.#keys.close();
  }
}
