import { MpeError } from '../ops/errors.js';
import type { Guid } from '../protocol/guid.js';
import { decryptAtRest } from './at-rest.js';
import type { CertificateKeeper } from './certificate-keeper.js';
import { chooseWraps } from './choose-wraps.js';
import { unwrapDataKey } from './data-key.js';
import type { DataKeyRow, SecretForm, SecretIdentity } from './types.js';

/** What an opener needs. */
export interface SecretOpenerOptions {
  readonly siteGuid: Guid;
  /** On a site without a certificate it keeps none, and only plain secrets open. */
  readonly keeper: CertificateKeeper;
  readonly dataKeys: readonly DataKeyRow[];
}

/**
 * Opens stored secrets. Only who holds the certificate's private key can make one. A data key is
 * unwrapped when first needed and kept, so that RSA works once per data key.
 */
export class SecretOpener {
  readonly #options: SecretOpenerOptions;
  readonly #rows: ReadonlyMap<Guid, DataKeyRow>;
  readonly #unwrapped = new Map<Guid, Promise<Buffer>>();

  /** Unwraps nothing yet. */
  constructor(options: SecretOpenerOptions) {
    this.#options = options;
    this.#rows = chooseWraps(
      options.dataKeys,
      options.keeper.certificates().map((certificate) => certificate.thumbprint),
    );
  }

  /**
   * The plaintext of a stored secret: a recovery password as its canonical text in UTF-8, else the
   * bytes.
   *
   * @throws MpeError SECRET_UNREADABLE; facts.reason is NO_CERTIFICATE, DATA_KEY_UNKNOWN,
   *   CERTIFICATE_OTHER, DATA_KEY_DAMAGED or CIPHERTEXT_DAMAGED
   */
  async open(identity: SecretIdentity, content: SecretForm): Promise<Buffer> {
    if (content.form === 'PLAIN') return Buffer.from(content.bytes);
    const dataKey = await this.#dataKey(content.dataKeyId);
    const place = {
      siteGuid: this.#options.siteGuid,
      kind: identity.kind,
      keyId: identity.keyId,
      volumeId: identity.volumeId,
      dataKeyId: content.dataKeyId,
    };
    const plaintext = decryptAtRest(dataKey, place, content.bytes);
    if (plaintext !== null) return plaintext;
    throw new MpeError(
      'SECRET_UNREADABLE',
      `the secret of key ID ${identity.keyId} does not open: its ciphertext is damaged or was moved here ` +
        'from another place',
      { facts: { reason: 'CIPHERTEXT_DAMAGED', dataKeyId: content.dataKeyId } },
    );
  }

  /**
   * Proves that a data key opens, also where no secret was encrypted with it yet.
   *
   * @throws MpeError SECRET_UNREADABLE as {@link open}
   */
  async checkDataKey(dataKeyId: Guid): Promise<void> {
    await this.#dataKey(dataKeyId);
  }

  #dataKey(id: Guid): Promise<Buffer> {
    const known = this.#unwrapped.get(id);
    if (known !== undefined) return known;
    const unwrapping = this.#unwrap(id);
    this.#unwrapped.set(id, unwrapping);
    return unwrapping;
  }

  async #unwrap(id: Guid): Promise<Buffer> {
    const { keeper, siteGuid } = this.#options;
    if (keeper.certificates().length === 0) {
      throw new MpeError('SECRET_UNREADABLE', 'there is no certificate here, so nothing encrypted opens', {
        facts: { reason: 'NO_CERTIFICATE', dataKeyId: id },
      });
    }
    const row = this.#rows.get(id);
    if (row === undefined) {
      throw new MpeError('SECRET_UNREADABLE', `data key ${id} is not in the database`, {
        facts: { reason: 'DATA_KEY_UNKNOWN', dataKeyId: id },
      });
    }
    return unwrapDataKey(row, siteGuid, keeper);
  }
}
