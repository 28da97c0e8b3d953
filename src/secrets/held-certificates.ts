/**
 * The certificates of a key folder. A site has one at first and gets another by a change; both stay, as
 * old data keys are opened with the old one until each is wrapped to the new one as well:
 *
 *     recovery/BitLockerManagement_CERT.pem, …-key.pem                    made by `mpe site init`
 *     recovery/BitLockerManagement_CERT-<16 digits>.pem, …-key.pem        every later one
 *     worker/…                                                            the same without keys
 *
 * The digits are the first of its thumbprint; nothing depends on a file's name.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  loadCertificate,
  loadCertificateKey,
  type CertificateKey,
  type CertificatePublic,
} from './certificate.js';
import { readKeyFile } from './key-files.js';

/** Names of certificates in `worker/` and `recovery/`. */
export const CERTIFICATE_FILE = /^BitLockerManagement_CERT(?:-[0-9a-f]{16})?\.pem$/;
const PRIVATE_FILE = /^BitLockerManagement_CERT(?:-[0-9a-f]{16})?-key\.pem$/;

/** Path inside the key folder of a later certificate. */
export function certificateFile(part: 'worker' | 'recovery', thumbprint: string): string {
  return `${part}/BitLockerManagement_CERT-${thumbprint.slice(0, 16)}.pem`;
}

/** Path of the private key beside a certificate. */
export function privateFileOf(certificate: string): string {
  return certificate.replace(/\.pem$/, '-key.pem');
}

/** A certificate and where it lies in the key folder. */
export interface Filed<T> {
  readonly file: string;
  readonly certificate: T;
}

/**
 * The certificates in `worker/`.
 *
 * @throws MpeError KEY_FOLDER_INVALID where one is no certificate for this use
 */
export function readPublicCertificates(folder: string): readonly Filed<CertificatePublic>[] {
  return names(folder, 'worker', CERTIFICATE_FILE).map((file) => ({
    file,
    certificate: loadCertificate(readKeyFile(folder, file)),
  }));
}

/**
 * The certificates in `recovery/`, each with its private key.
 *
 * @throws MpeError KEY_FOLDER_INVALID where one has no key, another's, or one that others may read
 */
export function readCertificateKeys(folder: string): readonly Filed<CertificateKey>[] {
  return names(folder, 'recovery', CERTIFICATE_FILE).map((file) => ({
    file,
    certificate: loadCertificateKey({
      certificatePem: readKeyFile(folder, file),
      keyPem: readKeyFile(folder, privateFileOf(file)),
    }),
  }));
}

/** Private keys in `recovery/` without a certificate: what an interrupted command left. Paths inside the folder. */
export function lonelyPrivateFiles(folder: string): readonly string[] {
  const certificates = new Set(names(folder, 'recovery', CERTIFICATE_FILE).map(privateFileOf));
  return names(folder, 'recovery', PRIVATE_FILE).filter((file) => !certificates.has(file));
}

/** In the order of their names. A part that is not there holds none. */
function names(folder: string, part: 'worker' | 'recovery', pattern: RegExp): readonly string[] {
  let found: readonly string[];
  try {
    found = readdirSync(join(folder, part));
  } catch {
    found = [];
  }
  return found
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => `${part}/${name}`);
}

/** Whether `recovery/` holds a certificate with its key. Reads no further than their names. */
export function holdsCertificateKey(folder: string): boolean {
  const keys = new Set(names(folder, 'recovery', PRIVATE_FILE));
  return names(folder, 'recovery', CERTIFICATE_FILE).some((file) => keys.has(privateFileOf(file)));
}
