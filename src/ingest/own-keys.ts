import type { Logger } from '../ops/log.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import { certificateThumbprint } from '../secrets/certificate-file.js';
import { openKeyFolder, type GatewayTls, type KeyFolder } from '../secrets/key-folder.js';
import { HttpProblem } from './problems.js';
import type { SiteView } from './site-view.js';

const LOOK_EVERY_MS = 15_000;

/**
 * The keys of this gateway as they lie in its key folder: looked at again and again, so that a new token key
 * and a new TLS certificate take effect without a restart. What does not fit the site document is not taken.
 */
export class OwnKeys {
  readonly #path: string;
  readonly #site: SiteView;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #tokenKey: PrivateJwk;
  #tls: GatewayTls;
  #onTls: (tls: GatewayTls) => void = () => undefined;
  /** What was said last, so that it is said once. */
  #said = '';

  constructor(options: {
    /** Opened for the role `gateway`, and checked. */
    readonly keyFolder: KeyFolder;
    readonly site: SiteView;
    readonly log: Logger;
    readonly lookEveryMs?: number | undefined;
  }) {
    const { keyFolder } = options;
    this.#path = keyFolder.path;
    this.#site = options.site;
    this.#log = options.log;
    this.#tokenKey = keyFolder.tokenKey();
    this.#tls = keyFolder.tls();
    this.#timer = setInterval(() => void this.look(), options.lookEveryMs ?? LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** TLS as it is now. */
  get tls(): GatewayTls {
    return this.#tls;
  }

  /** Is called with every later TLS key and chain. */
  onTls(take: (tls: GatewayTls) => void): void {
    this.#onTls = take;
  }

  /**
   * The key that signs site tokens.
   *
   * @throws HttpProblem CHANNEL_UNAVAILABLE where the site document names it no more: no gateway would take
   *   what it signs
   */
  async tokenKey(): Promise<PrivateJwk> {
    if (!this.#named(this.#tokenKey)) await this.look();
    if (this.#named(this.#tokenKey)) return this.#tokenKey;
    throw new HttpProblem(
      'CHANNEL_UNAVAILABLE',
      'This gateway has no token key that the site takes. Keep every message and ask again later.',
    );
  }

  /** Looks at the key folder. What cannot be read now is read at the next look. */
  async look(): Promise<void> {
    try {
      const folder = await openKeyFolder(this.#path, 'gateway');
      this.#takeTokenKey(folder.tokenKey());
      this.#takeTls(folder.tls());
    } catch (error) {
      this.#say('unread', () =>
        this.#log.warn(
          { event: 'gateway.keys_unread', error },
          'the key folder cannot be read: this gateway goes on with the keys that it has',
        ),
      );
    }
  }

  #takeTokenKey(key: PrivateJwk): void {
    if (this.#named(key)) {
      if (key.kid !== this.#tokenKey.kid) this.#log.info({ event: 'gateway.token_key', kid: key.kid });
      this.#tokenKey = key;
      if (this.#said !== '') this.#said = '';
    } else if (!this.#named(this.#tokenKey)) {
      this.#say(`unnamed ${key.kid}`, () =>
        this.#log.error(
          { event: 'gateway.token_key_retired', kid: key.kid },
          'the site document names no token key of this host, so it gives no site tokens: copy gateway/ to it',
        ),
      );
    }
  }

  #takeTls(tls: GatewayTls): void {
    if (tls.key === this.#tls.key && tls.cert === this.#tls.cert) return;
    if (certificateThumbprint(tls.ca) !== this.#site.document.gatewayCaThumbprint) return;
    this.#onTls(tls);
    this.#tls = tls;
    this.#log.info({ event: 'gateway.tls_changed', thumbprint: certificateThumbprint(tls.cert) });
  }

  #named(key: PrivateJwk): boolean {
    return this.#site.document.tokenKeys.some(({ kid }) => kid === key.kid);
  }

  #say(what: string, say: () => void): void {
    if (this.#said === what) return;
    this.#said = what;
    say();
  }

  /** Looks no more. */
  close(): void {
    clearInterval(this.#timer);
  }
}
