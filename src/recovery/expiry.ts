import type { SiteDocument } from '../protocol/site-document.js';
import type { CertificateKeeper } from '../secrets/certificate-keeper.js';
import { certificateEnd, documentExpiry, tlsEnd, type Expiring } from '../secrets/expiring.js';

/** What the recovery service knows of that ends: asked at each look, as all of it may be renewed. */
export class RecoveryExpiry {
  readonly #keeper: CertificateKeeper;
  #document: SiteDocument;
  #tls: Expiring | null = null;

  /** @param document - as read at the start */
  constructor(keeper: CertificateKeeper, document: SiteDocument) {
    this.#keeper = keeper;
    this.#document = document;
  }

  /** The site document was read again, as each round of the canary does. */
  useDocument(document: SiteDocument): void {
    this.#document = document;
  }

  /** The portals show this chain (PEM) from now on. */
  useTls(chainPem: string): void {
    this.#tls = tlsEnd(chainPem, 'recovery_tls');
  }

  /** The certificate is the one that the document names; where its key is not here, the canary says so. */
  expiring(): readonly Expiring[] {
    const { certificateThumbprint } = this.#document;
    const named = this.#keeper.certificates().find((one) => one.thumbprint === certificateThumbprint);
    return [
      documentExpiry(this.#document),
      ...(named === undefined ? [] : [certificateEnd(named)]),
      ...(this.#tls === null ? [] : [this.#tls]),
    ];
  }
}
