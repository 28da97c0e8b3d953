import { verifySiteDocument } from '../jose/index.js';
import type { Logger } from '../ops/log.js';
import type { SiteDocument } from '../protocol/site-document.js';
import type { SiteStore } from '../store/site-store.js';

/** How old what is held may be before the database is asked again, in milliseconds. */
const FRESH_MS = 2000;
const REFRESH_EVERY_MS = 15_000;

/** The site document as this gateway holds it: verified, never older than it was. */
export class SiteView {
  readonly #store: SiteStore;
  readonly #rootThumbprint: string;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #document: SiteDocument;
  #jws: string;
  #readAt = performance.now();
  #reading: Promise<void> | null = null;

  /** `document`: what `jws` holds, verified. */
  constructor(options: {
    readonly store: SiteStore;
    readonly rootThumbprint: string;
    readonly document: SiteDocument;
    readonly jws: string;
    readonly log: Logger;
  }) {
    this.#store = options.store;
    this.#rootThumbprint = options.rootThumbprint;
    this.#document = options.document;
    this.#jws = options.jws;
    this.#log = options.log;
    this.#timer = setInterval(() => void this.refresh(), REFRESH_EVERY_MS);
    this.#timer.unref();
  }

  /** The document held now. */
  get document(): SiteDocument {
    return this.#document;
  }

  /** The document as signed, newest that the database gives; the held one where it does not answer. */
  async current(): Promise<{ readonly jws: string; readonly version: number }> {
    if (performance.now() - this.#readAt > FRESH_MS) await this.refresh();
    return { jws: this.#jws, version: this.#document.version };
  }

  /** Asks the database; a document that is not authentic or older is refused, and logged. */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    this.#readAt = performance.now();
    try {
      const { version, jws } = await this.#store.readSiteDocument();
      if (jws === this.#jws) return;
      const document = await verifySiteDocument(jws, this.#rootThumbprint);
      if (document.siteGuid !== this.#document.siteGuid || document.version < this.#document.version) {
        this.#log.error({ event: 'gateway.site_document_refused', version }, 'an older site document');
        return;
      }
      this.#document = document;
      this.#jws = jws;
      this.#log.info({ event: 'gateway.site_document', version: document.version });
    } catch (error) {
      this.#log.warn({ event: 'gateway.site_document_unread', error }, 'the site document was not read');
    }
  }

  /** Stops asking. */
  close(): void {
    clearInterval(this.#timer);
  }
}
