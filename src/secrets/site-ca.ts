import { generateKeyPair, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import type { Guid } from '../protocol/guid.js';
import { exportKey, pemOf, signingPair, validity, x509 } from './x509.js';

/** Clients pin the CA by the site document, not by its age; it outlives what it signs. */
const CA_YEARS = 20;
const GATEWAY_YEARS = 10;

/** The site CA and the TLS certificate of the gateways, all PEM. */
export interface SiteTls {
  readonly caPem: string;
  readonly caKeyPem: string;
  /** Leaf, then CA. */
  readonly chainPem: string;
  readonly keyPem: string;
}

/**
 * Makes the site CA (ECDSA P-256) and a TLS certificate for the gateways, signed by it.
 *
 * @param names - from {@link gatewayNames}
 */
export async function createSiteTls(
  siteGuid: Guid,
  names: readonly string[],
  nowMs: number,
): Promise<SiteTls> {
  const caKey = await newKey();
  const ca = await signingPair(caKey);
  const caName = `CN=mpe site CA ${siteGuid}`;
  const caCertificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: caName,
    ...validity(nowMs, CA_YEARS),
    keys: ca.pair,
    signingAlgorithm: ca.algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(ca.pair.publicKey),
    ],
  });

  const leafKey = await newKey();
  const leaf = await signingPair(leafKey);
  const leafCertificate = await x509.X509CertificateGenerator.create({
    subject: `CN=mpe gateway ${siteGuid}`,
    issuer: caName,
    ...validity(nowMs, GATEWAY_YEARS),
    publicKey: leaf.pair.publicKey,
    signingKey: ca.pair.privateKey,
    signingAlgorithm: ca.algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((name) => ({ type: isIP(name) === 0 ? ('dns' as const) : ('ip' as const), value: name })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(leaf.pair.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(ca.pair.publicKey),
    ],
  });

  const caPem = pemOf(caCertificate);
  return {
    caPem,
    caKeyPem: exportKey(caKey),
    chainPem: pemOf(leafCertificate) + caPem,
    keyPem: exportKey(leafKey),
  };
}

async function newKey(): Promise<KeyObject> {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  return privateKey;
}
