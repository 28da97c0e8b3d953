import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  loadCertificateKey,
  type CertificateKey,
  type CertificatePems,
  type CertificatePublic,
} from './certificate.js';
import {
  certificateFile,
  privateFileOf,
  readCertificateKeys,
  readPublicCertificates,
} from './held-certificates.js';
import { assertPrivate, KEY_FILES, keyFolderError, readKeyFile } from './key-files.js';
import { writeKeyFile } from './write-key-files.js';
import { exportKey } from './x509.js';

/**
 * Adds a certificate with its key to a key folder: to `recovery/`, and without the key to `worker/` where
 * the folder has that part. Nothing is overwritten; what is there already is left as it is, so it can be
 * repeated. The key comes first: a certificate never lies there without it.
 *
 * @returns the certificate, and whether it is new here
 * @throws MpeError KEY_FOLDER_INVALID where it is not fit for its use or cannot be written
 */
export function addCertificate(
  folder: string,
  pems: CertificatePems,
): { readonly certificate: CertificateKey; readonly added: boolean } {
  const certificate = loadCertificateKey(pems);
  const part = join(folder, 'recovery');
  if (existsSync(part)) assertPrivate(folder, 'recovery', statSync(part).mode);
  const held = readCertificateKeys(folder).some(
    (one) => one.certificate.thumbprint === certificate.thumbprint,
  );
  if (!held) {
    const file = certificateFile('recovery', certificate.thumbprint);
    writeKeyFile(folder, privateFileOf(file), exportKey(createPrivateKey(pems.keyPem)));
    writeKeyFile(folder, file, new X509Certificate(pems.certificatePem).toString());
  }
  offerToWorkers(folder, certificate);
  return { certificate, added: !held };
}

/** Puts a certificate into `worker/`, where the folder has that part. */
export function offerToWorkers(folder: string, { thumbprint, pem }: CertificatePublic): void {
  if (!existsSync(join(folder, 'worker'))) return;
  if (readPublicCertificates(folder).some(({ certificate }) => certificate.thumbprint === thumbprint)) return;
  writeKeyFile(folder, certificateFile('worker', thumbprint), new X509Certificate(pem).toString());
}

/** Writes into site.json that the site has this certificate: from then on plain text is refused for good. */
export function nameCertificate(folder: string, thumbprint: string): void {
  let site: Record<string, unknown>;
  try {
    site = JSON.parse(readKeyFile(folder, KEY_FILES.site)) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof SyntaxError) throw keyFolderError(folder, `${KEY_FILES.site} is damaged`);
    throw error;
  }
  if (site['certificateThumbprint'] === thumbprint) return;
  site['certificateThumbprint'] = thumbprint;
  writeKeyFile(folder, KEY_FILES.site, `${JSON.stringify(site, null, 2)}\n`);
}
