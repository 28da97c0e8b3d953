import { createPrivateKey, X509Certificate } from 'node:crypto';
import { thumbprint } from '../jose/index.js';
import { MpeError } from '../ops/errors.js';
import type { PrivateJwk, PublicJwk } from '../protocol/jwk.js';
import { assertKeyMatches, certificateThumbprint } from './certificate-file.js';

/** The name that the BitLocker management encryption certificate must have. */
export const CERTIFICATE_NAME = 'BitLockerManagement_CERT';

/** Its RSA modulus, bits. */
export const CERTIFICATE_BITS = 3072;

/** The certificate without its key: wraps data keys. */
export interface CertificatePublic {
  /** SHA-256 of the DER, hex. */
  readonly thumbprint: string;
  /** Its RSA key, alg RSA-OAEP-256. */
  readonly publicJwk: PublicJwk;
  readonly pem: string;
}

/** The certificate with its key: opens data keys. The recovery service alone holds it. */
export interface CertificateKey extends CertificatePublic {
  readonly privateJwk: PrivateJwk;
}

/** A certificate and its private key as PEM (PKCS #8). */
export interface CertificatePems {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/**
 * Reads the certificate.
 *
 * @throws MpeError KEY_FOLDER_INVALID where it is no certificate, has another name, no RSA key, or
 *   fewer than 3072 bits
 */
export function loadCertificate(certificatePem: string): CertificatePublic {
  const refuse = (why: string, cause?: unknown): MpeError =>
    new MpeError('KEY_FOLDER_INVALID', `the ${CERTIFICATE_NAME} certificate ${why}`, { cause });
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(certificatePem);
  } catch (cause) {
    throw refuse('cannot be read', cause);
  }
  // A PKI may have put more names beside it.
  if (!certificate.subject.split('\n').includes(`CN=${CERTIFICATE_NAME}`)) {
    throw refuse(`has another subject; its common name must be ${CERTIFICATE_NAME}`);
  }
  const key = certificate.publicKey;
  if (key.asymmetricKeyType !== 'rsa') throw refuse('has no RSA key');
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < CERTIFICATE_BITS) throw refuse(`has ${bits} bits; at least ${CERTIFICATE_BITS} are needed`);
  const { n, e } = key.export({ format: 'jwk' });
  const bare = { kty: 'RSA', alg: 'RSA-OAEP-256', kid: '', n: n ?? '', e: e ?? '' } as const;
  return {
    thumbprint: certificateThumbprint(certificatePem),
    publicJwk: { ...bare, kid: thumbprint(bare) },
    pem: certificatePem,
  };
}

/**
 * Reads the certificate with its private key.
 *
 * @throws MpeError KEY_FOLDER_INVALID as {@link loadCertificate}, and where the key is another's
 */
export function loadCertificateKey(pems: CertificatePems): CertificateKey {
  const certificate = loadCertificate(pems.certificatePem);
  assertKeyMatches(pems.keyPem, pems.certificatePem, CERTIFICATE_NAME);
  const jwk = createPrivateKey(pems.keyPem).export({ format: 'jwk' });
  const { d, p, q, dp, dq, qi } = jwk as Record<'d' | 'p' | 'q' | 'dp' | 'dq' | 'qi', string>;
  return { ...certificate, privateJwk: { ...certificate.publicJwk, d, p, q, dp, dq, qi } };
}
