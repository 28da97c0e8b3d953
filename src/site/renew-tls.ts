/**
 * A new TLS key and certificate for the gateways, by the site CA that clients pin.
 *
 * Steps: the next key is written to `gateway/tls-key-next.pem`, then the chain for it to tls-chain.pem, then
 * the key to its place, and the -next goes. Between any two of them the folder holds a key that fits the
 * chain (see tls-pair.ts), and the same call again finishes.
 */
import { X509Certificate } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MpeError } from '../ops/errors.js';
import { certificateThumbprint, keyMatchesCertificate } from '../secrets/certificate-file.js';
import { KEY_FILES, readKeyFile } from '../secrets/key-files.js';
import { issueGatewayChain, newGatewayKey } from '../secrets/site-ca.js';
import { namesOf } from '../secrets/gateway-names.js';
import { addKeyFile, writeKeyFile } from '../secrets/write-key-files.js';
import { readTruth, type SiteChange } from './open-site.js';

/** The certificate that gateways show from now on. */
export interface TlsRenewed {
  readonly names: readonly string[];
  readonly notAfterMs: number;
}

/**
 * Renews the gateways' TLS certificate. The key folder that was given is out of date afterwards.
 *
 * @param names - from `gatewayNames`; null: those of the present certificate
 * @throws MpeError KEY_FOLDER_INVALID without `ca/` and `gateway/`; SITE_MISMATCH where the CA is not the
 *   one of the site document. Nothing was changed then
 */
export async function renewGatewayTls(
  change: SiteChange,
  { names }: { readonly names: readonly string[] | null },
): Promise<TlsRenewed> {
  const { path } = change.keyFolder;
  const ca = { caPem: readKeyFile(path, KEY_FILES.ca), caKeyPem: readKeyFile(path, KEY_FILES.caKey) };
  const { document } = await readTruth(change);
  if (certificateThumbprint(ca.caPem) !== document.gatewayCaThumbprint)
    throw new MpeError('SITE_MISMATCH', 'ca/ is not the CA of the site document: no client would connect');
  const { cert } = change.keyFolder.tls();
  const wanted = names ?? namesOf(cert);
  const begun = existsSync(join(path, KEY_FILES.tlsKeyNext));
  const next = begun ? readKeyFile(path, KEY_FILES.tlsKeyNext) : await makeNext(path);
  let chain = cert;
  // Issued by the call that was killed, for the same names: taken.
  if (!keyMatchesCertificate(next, cert) || namesOf(cert).join() !== wanted.join()) {
    chain = await issueGatewayChain(ca, next, wanted, change.clock.now());
    writeKeyFile(path, KEY_FILES.tlsChain, chain);
  }
  writeKeyFile(path, KEY_FILES.tlsKey, next);
  rmSync(join(path, KEY_FILES.tlsKeyNext), { force: true });
  return { names: wanted, notAfterMs: Date.parse(new X509Certificate(chain).validTo) };
}

async function makeNext(path: string): Promise<string> {
  const next = await newGatewayKey();
  // Another process was faster: both go on with its key, so that every chain fits it.
  return addKeyFile(path, KEY_FILES.tlsKeyNext, next) ? next : readKeyFile(path, KEY_FILES.tlsKeyNext);
}
