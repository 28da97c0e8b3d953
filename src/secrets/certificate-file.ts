import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { MpeError } from '../ops/errors.js';

/** SHA-256 over the DER of a certificate, hex. */
export function certificateThumbprint(pem: string): string {
  return createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');
}

/** Whether a private key (PEM) belongs to a certificate (PEM; of a chain the first). */
export function keyMatchesCertificate(keyPem: string, certificatePem: string): boolean {
  return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem));
}

/** Refuses a private key that does not belong to its certificate. */
export function assertKeyMatches(keyPem: string, certificatePem: string, what: string): void {
  let matches: boolean;
  try {
    matches = keyMatchesCertificate(keyPem, certificatePem);
  } catch (cause) {
    throw new MpeError('KEY_FOLDER_INVALID', `${what}: the certificate or its key cannot be read`, { cause });
  }
  if (!matches) {
    throw new MpeError('KEY_FOLDER_INVALID', `${what}: the private key is not the certificate's`);
  }
}
