import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { peekKid, verifyAccessToken } from '../../jose/index.js';
import type { Clock } from '../../ops/clock.js';
import { isMpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import type { JobChannel } from '../../queue/index.js';
import { bearerOf } from '../bearer.js';
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
  readonly challenge = 'Bearer realm="mpe"';
  readonly #siteGuid: Guid;
  readonly #site: SiteView;
  readonly #clock: Clock;
  readonly #takesAll: boolean;
  readonly #remembered = new Map<string, Remembered>();

  /** `takesAll`: no other authenticator takes bearer tokens, so every one is judged here. */
  constructor(options: {
    readonly siteGuid: Guid;
    readonly site: SiteView;
    readonly clock: Clock;
    readonly takesAll: boolean;
  }) {
    this.#siteGuid = options.siteGuid;
    this.#site = options.site;
    this.#clock = options.clock;
    this.#takesAll = options.takesAll;
  }

  /** @throws HttpProblem SITE_TOKEN_INVALID */
  async authenticate(request: FastifyRequest): Promise<JobChannel | null> {
    const bearer = bearerOf(request);
    if (bearer === null || !(bearer.isSiteToken || this.#takesAll)) return null;
    const { clientId, epoch } = await this.#verify(bearer.token);
    return { method: 'site-token', clientId, epoch };
  }

  async #verify(token: string): Promise<{ readonly clientId: Guid; readonly epoch: number }> {
    const nowMs = this.#clock.now();
    await this.#hearOfNewKey(token);
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

  /** Another gateway may sign with a key that a newer document names: it is asked for, once in a while. */
  async #hearOfNewKey(token: string): Promise<void> {
    let kid: string;
    try {
      kid = peekKid(token, 'mpe-access+jwt');
    } catch {
      // Not a site token: refused with its reason in a moment.
      return;
    }
    if (!this.#site.document.tokenKeys.some((key) => key.kid === kid)) await this.#site.current();
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
