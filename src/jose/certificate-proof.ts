import {
  createHash,
  createPrivateKey,
  createPublicKey,
  sign,
  verify,
  X509Certificate,
  type KeyObject,
} from 'node:crypto';
import { MpeError } from '../ops/errors.js';

/** A certificate's key and its signature over a registration statement. */
export interface CertificateProof {
  /** SubjectPublicKeyInfo, DER. */
  readonly key: Uint8Array;
  readonly signature: Uint8Array;
}

// Not a token: keys of certificates also sign TLS handshakes and whatever else their owners do, so
// what is signed here begins with words that nothing else begins with.
const PREFIX = Buffer.from('mpe-reg-certificate\0', 'ascii');

/** SHA-256 (hex) of a certificate's public key: what a site remembers of a client's certificate. */
export function certificateSubject(spki: Uint8Array): string {
  return createHash('sha256').update(spki).digest('hex');
}

/** The public key of a certificate (PEM, the first one), as SubjectPublicKeyInfo. */
export function certificateKeyOf(pem: string): Buffer {
  return new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' });
}

/** Signs a registration statement with a certificate's private key (PEM). */
export function signCertificateProof(
  statement: Uint8Array,
  certificate: { readonly cert: string; readonly key: string },
): CertificateProof {
  const key = createPrivateKey(certificate.key);
  return {
    key: certificateKeyOf(certificate.cert),
    signature: sign('sha256', Buffer.concat([PREFIX, statement]), { key, dsaEncoding: 'ieee-p1363' }),
  };
}

/**
 * Verifies it. Whose certificate it is, and whether a CA stands behind it, is another question.
 *
 * @throws MpeError CANNOT_OPEN
 */
export function verifyCertificateProof(statement: Uint8Array, proof: CertificateProof): void {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(proof.key), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new MpeError('CANNOT_OPEN', 'the certificate key cannot be read', { cause });
  }
  const strong =
    (key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048) ||
    key.asymmetricKeyType === 'ec';
  if (!strong) throw new MpeError('CANNOT_OPEN', 'the certificate key is neither RSA of 2048 bits nor EC');
  const signed = Buffer.concat([PREFIX, statement]);
  if (!verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, proof.signature))
    throw new MpeError('CANNOT_OPEN', "the certificate key's signature does not verify");
}
