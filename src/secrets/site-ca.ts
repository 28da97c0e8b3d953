import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto';
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
  const caCertificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=mpe site CA ${siteGuid}`,
    ...validity(nowMs, CA_YEARS),
    keys: ca.pair,
    signingAlgorithm: ca.algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(ca.pair.publicKey),
    ],
  });

  const caPem = pemOf(caCertificate);
  const caKeyPem = exportKey(caKey);
  const keyPem = await newGatewayKey();
  return {
    caPem,
    caKeyPem,
    keyPem,
    chainPem: await issueGatewayChain({ caPem, caKeyPem }, keyPem, names, nowMs),
  };
}

/** A private key for the TLS of gateways, PEM. */
export async function newGatewayKey(): Promise<string> {
  return exportKey(await newKey());
}

/**
 * Signs a TLS certificate for the gateways' key; the chain is leaf, then CA.
 *
 * @param names - from {@link gatewayNames}
 */
export async function issueGatewayChain(
  { caPem, caKeyPem }: Pick<SiteTls, 'caPem' | 'caKeyPem'>,
  keyPem: string,
  names: readonly string[],
  nowMs: number,
): Promise<string> {
  const issuer = new x509.X509Certificate(caPem);
  const ca = await signingPair(createPrivateKey(caKeyPem));
  const leaf = await signingPair(createPrivateKey(keyPem));
  const certificate = await x509.X509CertificateGenerator.create({
    subject: issuer.subject.replace('CN=mpe site CA', 'CN=mpe gateway'),
    issuer: issuer.subject,
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
  return pemOf(certificate) + caPem;
}

async function newKey(): Promise<KeyObject> {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  return privateKey;
}
