import type { ClientContext, Settings, TokenSource } from './context.js';
import { SiteToken } from './site-token.js';

/** What a client sends beside its certificate, if it has one: a device token, else a site token. */
export function tokenSource(settings: Settings): TokenSource {
  if (settings.deviceToken !== null) return new DeviceToken(settings.deviceToken);
  return settings.certificate === null ? new SiteToken() : new NoToken();
}

/** The tenant's token: whoever wrote it renews it, so it is read again after each refusal. */
class DeviceToken implements TokenSource {
  readonly #read: () => string | Promise<string>;
  #held: string | null = null;

  constructor(read: () => string | Promise<string>) {
    this.#read = read;
  }

  async get(_context: ClientContext): Promise<string> {
    this.#held ??= (await this.#read()).trim();
    return this.#held;
  }

  drop(refused: string): void {
    if (this.#held === refused) this.#held = null;
  }
}

/** A certificate says who we are; there is nothing to renew here. */
class NoToken implements TokenSource {
  get(_context: ClientContext): Promise<null> {
    return Promise.resolve(null);
  }

  drop(_refused: string): void {
    // Nothing is held.
  }
}
