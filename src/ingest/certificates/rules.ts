import type { X509Certificate } from 'node:crypto';
import { x509 } from '../../secrets/x509.js';
import { CertificateRefused } from './refusal.js';

/** TLS client authentication, RFC 5280 section 4.2.1.12. */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const MIN_RSA_BITS = 2048;
const CURVES: readonly string[] = ['prime256v1', 'secp384r1', 'secp521r1'];

/** Signature algorithms by their hash; SHA-1 and MD5 can be forged. */
const HASHES: readonly string[] = ['SHA-256', 'SHA-384', 'SHA-512'];

/** Extensions that are understood here; any other one that is critical refuses the certificate. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  '2.5.29.14', // subject key identifier
  '2.5.29.15', // key usage
  '2.5.29.17', // subject alternative name
  '2.5.29.19', // basic constraints
  '2.5.29.31', // where lists are
  '2.5.29.32', // policies
  '2.5.29.35', // authority key identifier
  '2.5.29.37', // extended key usage
]);

/** A certificate of a chain in the form of both libraries. */
export interface ReadCertificate {
  readonly node: X509Certificate;
  readonly asn: x509.X509Certificate;
}

/**
 * Checks dates, key strength, signature algorithm and the uses of every certificate of a chain, the
 * client's own first.
 *
 * @throws CertificateRefused
 */
export function checkRules(chain: readonly ReadCertificate[], nowMs: number): void {
  chain.forEach((certificate, index) => {
    const what = index === 0 ? 'the certificate' : "one of the certificate's CAs";
    checkDates(certificate, what, nowMs);
    checkStrength(certificate, what, index === chain.length - 1);
    for (const { type, critical } of certificate.asn.extensions) {
      if (critical && !UNDERSTOOD.has(type)) {
        throw new CertificateRefused(
          'UNTRUSTED',
          `${what} has a critical extension (${type}) that is not understood`,
        );
      }
    }
    if (index === 0) checkLeaf(certificate);
    else checkCa(certificate, index - 1);
  });
}

function checkDates({ asn }: ReadCertificate, what: string, nowMs: number): void {
  if (nowMs < asn.notBefore.getTime()) {
    throw new CertificateRefused('NOT_YET_VALID', `${what} begins on ${asn.notBefore.toISOString()}`);
  }
  if (nowMs > asn.notAfter.getTime()) {
    throw new CertificateRefused('EXPIRED', `${what} ended on ${asn.notAfter.toISOString()}`);
  }
}

function checkStrength({ node, asn }: ReadCertificate, what: string, isRoot: boolean): void {
  const { asymmetricKeyType, asymmetricKeyDetails } = node.publicKey;
  const strong =
    asymmetricKeyType === 'rsa'
      ? (asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS
      : asymmetricKeyType === 'ec' && CURVES.includes(asymmetricKeyDetails?.namedCurve ?? '');
  if (!strong) {
    throw new CertificateRefused('WEAK', `${what} has a key that is neither RSA of 2048 bits or more nor EC`);
  }
  // A root is trusted because it is configured, not for its own signature.
  const { hash } = asn.signatureAlgorithm as { readonly hash?: { readonly name?: string } };
  if (!isRoot && !HASHES.includes(hash?.name ?? '')) {
    throw new CertificateRefused('WEAK', `${what} is signed with neither SHA-256, SHA-384 nor SHA-512`);
  }
}

function checkLeaf({ asn }: ReadCertificate): void {
  if (asn.getExtension(x509.BasicConstraintsExtension)?.ca === true) {
    throw new CertificateRefused('WRONG_USAGE', 'the certificate is that of a CA');
  }
  const usages = asn.getExtension(x509.ExtendedKeyUsageExtension)?.usages ?? [];
  if (!usages.map(String).includes(CLIENT_AUTH)) {
    throw new CertificateRefused(
      'WRONG_USAGE',
      'the certificate is not for client authentication (extended key usage)',
    );
  }
  const usage = asn.getExtension(x509.KeyUsagesExtension)?.usages;
  if (usage !== undefined && (usage & x509.KeyUsageFlags.digitalSignature) === 0) {
    throw new CertificateRefused('WRONG_USAGE', 'the certificate is not for signatures (key usage)');
  }
}

function checkCa({ asn }: ReadCertificate, below: number): void {
  const basic = asn.getExtension(x509.BasicConstraintsExtension);
  const usage = asn.getExtension(x509.KeyUsagesExtension)?.usages;
  const signs = usage === undefined || (usage & x509.KeyUsageFlags.keyCertSign) !== 0;
  if (basic?.ca !== true || !signs) {
    throw new CertificateRefused('UNTRUSTED', "one of the certificate's CAs is no CA");
  }
  if (basic.pathLength !== undefined && below > basic.pathLength) {
    throw new CertificateRefused('UNTRUSTED', "one of the certificate's CAs may not have a CA below it");
  }
}
