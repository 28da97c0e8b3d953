import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { CERTIFICATE_BITS, CERTIFICATE_NAME, type CertificatePems } from './certificate.js';
import { exportKey, pemOf, signingPair, validity, x509 } from './x509.js';

/** Its life. Nobody checks or enforces its expiry for this use; what it wrapped stays readable. */
export const CERTIFICATE_YEARS = 20;

/**
 * Makes the BitLocker management encryption certificate: X.509, RSA-3072, self-signed.
 *
 * @param nowMs - the time it is valid from (and a day before)
 */
export async function createCertificate(nowMs: number, years = CERTIFICATE_YEARS): Promise<CertificatePems> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: CERTIFICATE_BITS });
  const { pair, algorithm } = await signingPair(privateKey);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${CERTIFICATE_NAME}`,
    ...validity(nowMs, years),
    keys: pair,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyEncipherment | x509.KeyUsageFlags.dataEncipherment,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(pair.publicKey),
    ],
  });
  return { certificatePem: pemOf(certificate), keyPem: exportKey(privateKey) };
}
