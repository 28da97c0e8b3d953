import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { MpeError } from '../ops/errors.js';
import type { CertificateKey, CertificatePems } from './certificate.js';
import { encryptPrivateKey } from './encrypted-key.js';
import { exportKey } from './x509.js';

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]+?-----END \1-----/g;

/**
 * Reads certificates and private keys, in any order and number, and puts together what belongs together.
 *
 * @param password - null: keys that are encrypted are refused
 * @returns a certificate with its key each; certificates without a key (of a chain) are left out
 * @throws MpeError VALUE_INVALID where there is no pair, a key is nobody's, or the password is wrong
 */
export function readPemPairs(text: string, password: string | null): readonly CertificatePems[] {
  const blocks = [...text.matchAll(BLOCK)].map(([pem, name]) => ({ pem, name: name ?? '' }));
  const certificates = blocks
    .filter(({ name }) => name.endsWith('CERTIFICATE'))
    .map(({ pem }) => readCertificate(pem));
  const keys = blocks
    .filter(({ name }) => name.endsWith('PRIVATE KEY'))
    .map(({ pem }) => readKey(pem, password));
  if (certificates.length === 0) throw invalid('there is no certificate in PEM form');
  if (keys.length === 0) throw invalid('there is no private key in PEM form');
  return keys.map((key) => {
    const certificate = certificates.find((one) => one.checkPrivateKey(key));
    if (certificate === undefined) throw invalid('a private key belongs to none of the certificates');
    return { certificatePem: certificate.toString(), keyPem: exportKey(key) };
  });
}

function readCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw invalid('a certificate is damaged', cause);
  }
}

function readKey(pem: string, password: string | null): KeyObject {
  const encrypted = pem.includes('ENCRYPTED');
  if (encrypted && password === null) throw invalid('a private key is encrypted and there is no password');
  try {
    return createPrivateKey(password === null ? pem : { key: pem, passphrase: password });
  } catch (cause) {
    throw invalid(
      encrypted ? 'the password is wrong or a private key is damaged' : 'a private key is damaged',
      cause,
    );
  }
}

function invalid(why: string, cause?: unknown): MpeError {
  return new MpeError('VALUE_INVALID', why, { cause });
}

/**
 * Writes certificates with their keys under a password, one after the other. Each key: see
 * {@link encryptPrivateKey}. `openssl pkey -in FILE` opens the first, {@link readPemPairs} all of them.
 */
export async function writeBackup(
  certificates: readonly CertificateKey[],
  password: string,
): Promise<string> {
  const parts: string[] = [];
  for (const { pem, thumbprint, privateJwk } of certificates) {
    const key = createPrivateKey({ key: { ...privateJwk }, format: 'jwk' });
    const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
    parts.push(`# SHA-256 ${thumbprint}\n${new X509Certificate(pem).toString()}`);
    parts.push(await encryptPrivateKey(pkcs8, password));
    pkcs8.fill(0);
  }
  return parts.join('');
}
