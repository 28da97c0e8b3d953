import { createHash, X509Certificate } from 'node:crypto';
import { checkServerIdentity, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import { MpeError } from '../ops/errors.js';

/** TLS server authentication, RFC 5280 section 4.2.1.12. */
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

/** The certificates that the server presented, its own first. Not verified. */
export function presentedChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  const seen = new Set<string>();
  let next: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  // An absent certificate is an empty object, and a self-signed one names itself as its issuer.
  while (next?.raw !== undefined && next.fingerprint256 !== undefined && !seen.has(next.fingerprint256)) {
    seen.add(next.fingerprint256);
    chain.push(new X509Certificate(next.raw));
    next = next.issuerCertificate;
  }
  return chain;
}

/** SHA-256 over the DER bytes, hex: the form of `gatewayCaThumbprint`. */
export function certificateThumbprint(certificate: X509Certificate): string {
  return createHash('sha256').update(certificate.raw).digest('hex');
}

/**
 * Checks that `leaf` is a server certificate for `host`, signed directly by `ca`. Dates are not
 * part of it, for the client's clock may be years off; see {@link dateWarning}.
 *
 * @throws MpeError NOT_AUTHENTIC saying which check failed.
 */
export function checkLeaf(leaf: X509Certificate, ca: X509Certificate, host: string): void {
  const refuse = (why: string): never => {
    throw new MpeError('NOT_AUTHENTIC', `the server at ${host} is refused: ${why}`);
  };
  if (!ca.ca) refuse("the site's CA certificate is no CA");
  if (leaf.ca) refuse('it presents a CA certificate as its own');
  if (!leaf.checkIssued(ca) || !leaf.verify(ca.publicKey)) {
    refuse('its certificate is not signed by the CA that the site document names');
  }
  // Node names the extended key usage `keyUsage`.
  const usage = leaf.keyUsage as readonly string[] | undefined;
  if (usage !== undefined && !usage.includes(SERVER_AUTH)) {
    refuse('its certificate is not for TLS servers');
  }
  const wrongName = checkServerIdentity(host, leaf.toLegacyObject());
  if (wrongName !== undefined) refuse(wrongName.message);
}

/** Says where a certificate is outside its dates by the local clock, or null. It only warns. */
export function dateWarning(leaf: X509Certificate, nowMs: number): string | null {
  if (nowMs < Date.parse(leaf.validFrom)) {
    return `by this machine's clock the server's certificate begins on ${leaf.validFrom}`;
  }
  if (nowMs > Date.parse(leaf.validTo)) {
    return `by this machine's clock the server's certificate ended on ${leaf.validTo}`;
  }
  return null;
}
