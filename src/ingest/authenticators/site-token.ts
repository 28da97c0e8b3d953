import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { verifyAccessToken } from '../../jose/index.js';
import type { Clock } from '../../ops/clock.js';
import { isMpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import type { JobChannel } from '../../queue/index.js';
import { HttpProblem } from '../problems.js';
import type { SiteView } from '../site-view.js';
import type { Authenticator } from './authenticator.js';

/** Verified tokens that are remembered; a fleet's worth would only cost memory. */
const REMEMBERED = 10_000;

interface Remembered {
  readonly clientId: Guid;
  readonly epoch: number;
  readonly expiresAtMs: number;
  /** Version of the site document whose keys verified it. */
  readonly version: number;
}

/**
 * Site token (enhanced HTTP): `Authorization: Bearer` with a JWT of this site, verified with the
 * token keys of the site document. Expiry is judged by the gateway's clock alone.
 */
export class SiteTokenAuthenticator implements Authenticator {
  readonly method = 'site-token';
  readonly challenge = 'Bearer realm="mpe"';
  readonly #siteGuid: Guid;
  readonly #site: SiteView;
  readonly #clock: Clock;
  readonly #remembered = new Map<string, Remembered>();

  constructor(siteGuid: Guid, site: SiteView, clock: Clock) {
    this.#siteGuid = siteGuid;
    this.#site = site;
    this.#clock = clock;
  }

  /** @throws HttpProblem SITE_TOKEN_INVALID */
  async authenticate(request: FastifyRequest): Promise<JobChannel | null> {
    const header = request.headers.authorization;
    if (header === undefined) return null;
    const token = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(header.trim())?.[1];
    if (token === undefined) return null;
    const { clientId, epoch } = await this.#verify(token);
    return { method: this.method, clientId, epoch };
  }

  async #verify(token: string): Promise<{ readonly clientId: Guid; readonly epoch: number }> {
    const nowMs = this.#clock.now();
    const { version, tokenKeys } = this.#site.document;
    // A hash, so that a dump of the memory holds no tokens.
    const digest = createHash('sha256').update(token).digest('base64');
    const known = this.#remembered.get(digest);
    if (known?.version === version && known.expiresAtMs > nowMs) return known;
    try {
      const facts = await verifyAccessToken(token, tokenKeys, { siteGuid: this.#siteGuid, nowMs });
      this.#remember(digest, { ...facts, version });
      return facts;
    } catch (error) {
      if (!isMpeError(error, 'CANNOT_OPEN') && !isMpeError(error, 'KID_UNKNOWN')) throw error;
      throw new HttpProblem(
        'SITE_TOKEN_INVALID',
        'The site token is expired, or not one of this site. Get one new token (POST /v1/token), then back off. Do not register anew.',
        { headers: { 'www-authenticate': `${this.challenge}, error="invalid_token"` }, cause: error },
      );
    }
  }

  #remember(digest: string, entry: Remembered): void {
    // A Map keeps the order of insertion: the oldest goes first.
    if (this.#remembered.size >= REMEMBERED) {
      const oldest = this.#remembered.keys().next();
      if (oldest.done !== true) this.#remembered.delete(oldest.value);
    }
    this.#remembered.set(digest, entry);
  }
}
