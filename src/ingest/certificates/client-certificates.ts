import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Clock } from '../../ops/clock.js';
import { MpeError } from '../../ops/errors.js';
import type { Guid } from '../../protocol/guid.js';
import { x509 } from '../../secrets/x509.js';
import { buildChain, isSelfSigned } from './chain.js';
import { clientIdOfCertificate } from './client-id.js';
import type { CrlStore } from './crl-store.js';
import { CertificateRefused } from './refusal.js';
import { checkRules, type ReadCertificate } from './rules.js';

/** Whom a certificate names, and its stable mark. */
export interface CertificateIdentity {
  readonly clientId: Guid;
  /** SHA-256 of the public key (SubjectPublicKeyInfo), 64 hex digits: stays through a renewal with the same key. */
  readonly subject: string;
}

interface Remembered extends CertificateIdentity {
  readonly untilMs: number;
  readonly generation: number;
}

const MAX_SENT = 8;
const MAX_DER_BYTES = 16 * 1024;
const REMEMBERED = 10_000;
/** A certificate that was good is looked at again after so long. */
const REMEMBER_MS = 60_000;
const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * Judges client certificates: chain to a configured CA, dates, revocation, use, name. The same rules
 * hold for a certificate of the TLS connection and for one that a proxy forwarded.
 */
export class ClientCertificates {
  /** PEM of the configured CAs, for the TLS listener. */
  readonly caPems: readonly string[];
  readonly #configured: readonly X509Certificate[];
  readonly #crls: CrlStore;
  readonly #clock: Clock;
  readonly #good = new Map<string, Remembered>();

  /** @throws MpeError CONFIG_INVALID where a file cannot be read, or holds no root. */
  constructor(caFiles: readonly string[], crls: CrlStore, clock: Clock) {
    this.caPems = caFiles.flatMap(readCaFile);
    this.#configured = this.caPems.map((pem) => new X509Certificate(pem));
    if (!this.#configured.some(isSelfSigned)) {
      throw new MpeError(
        'CONFIG_INVALID',
        'MPE_GATEWAY_CLIENT_CA holds no root: add the self-signed certificate at the end of the chain',
      );
    }
    this.#crls = crls;
    this.#clock = clock;
  }

  /**
   * Judges a certificate.
   *
   * @param leaf - DER
   * @param sent - DER of what came with it, in any order
   * @throws CertificateRefused
   */
  check(leaf: Uint8Array, sent: readonly Uint8Array[]): CertificateIdentity {
    const nowMs = this.#clock.now();
    // With what came along: an answer must not depend on what another request brought.
    const fingerprint = digestOf([leaf, ...sent]);
    const known = this.#good.get(fingerprint);
    if (known?.generation === this.#crls.generation && nowMs < known.untilMs) return known;
    this.#good.delete(fingerprint);

    const own = read(leaf);
    const chain = buildChain(
      own.node,
      sent.slice(0, MAX_SENT).map((der) => read(der).node),
      this.#configured,
    );
    if (chain === null) {
      throw new CertificateRefused('UNTRUSTED', 'the certificate does not lead to a CA of this site');
    }
    const readChain = [own, ...chain.slice(1).map((node) => read(node.raw))];
    checkRules(readChain, nowMs);
    let untilMs = Math.min(nowMs + REMEMBER_MS, ...readChain.map(({ asn }) => asn.notAfter.getTime()));
    chain.slice(0, -1).forEach((certificate, index) => {
      const issuer = chain[index + 1];
      if (issuer !== undefined) untilMs = Math.min(untilMs, this.#crls.check(certificate, issuer, nowMs));
    });
    const spki = own.node.publicKey.export({ type: 'spki', format: 'der' });
    const identity = {
      clientId: clientIdOfCertificate(own.asn),
      subject: createHash('sha256').update(spki).digest('hex'),
    };
    this.#remember(fingerprint, { ...identity, untilMs, generation: this.#crls.generation });
    return identity;
  }

  #remember(fingerprint: string, entry: Remembered): void {
    if (this.#good.size >= REMEMBERED) {
      const oldest = this.#good.keys().next();
      if (oldest.done !== true) this.#good.delete(oldest.value);
    }
    this.#good.set(fingerprint, entry);
  }

  /** Stops looking at the revocation lists. */
  close(): void {
    this.#crls.close();
  }
}

function digestOf(certificates: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  // DER says where it ends, so no two lists run together.
  for (const der of certificates) hash.update(der);
  return hash.digest('base64');
}

function read(der: Uint8Array): ReadCertificate {
  if (der.length > MAX_DER_BYTES) throw new CertificateRefused('UNREADABLE', 'a certificate is too large');
  try {
    return { node: new X509Certificate(der), asn: new x509.X509Certificate(Uint8Array.from(der)) };
  } catch (error) {
    throw new CertificateRefused('UNREADABLE', 'a certificate cannot be read', error);
  }
}

function readCaFile(path: string): string[] {
  const refuse = (why: string, cause?: unknown): MpeError =>
    new MpeError('CONFIG_INVALID', `MPE_GATEWAY_CLIENT_CA: ${path} ${why}`, { cause });
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw refuse('cannot be read', cause);
  }
  const pems = text.match(PEM) ?? [];
  if (pems.length === 0) throw refuse('holds no certificate in PEM');
  for (const pem of pems) {
    try {
      if (!new X509Certificate(pem).ca) throw refuse('holds a certificate that is no CA');
    } catch (cause) {
      throw cause instanceof MpeError ? cause : refuse('holds a certificate that cannot be read', cause);
    }
  }
  return [...pems];
}
