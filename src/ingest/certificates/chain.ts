import type { X509Certificate } from 'node:crypto';

/** Root, two or three issuing CAs, leaf: no real PKI is deeper. */
const MAX_DEPTH = 6;
/** Signature checks of one search at most, however many certificates look alike. */
const MAX_CHECKS = 24;

/**
 * The certificates from `leaf` to a trusted root, each signed by the next, found among what the
 * client sent and what is configured. Dates and uses are judged by the caller.
 *
 * @returns null where there is no such chain.
 */
export function buildChain(
  leaf: X509Certificate,
  sent: readonly X509Certificate[],
  configured: readonly X509Certificate[],
): readonly X509Certificate[] | null {
  const candidates = [...configured, ...sent.filter((one) => one.ca)];
  const trusted = new Set(configured);
  let checks = 0;
  const search = (chain: readonly X509Certificate[]): readonly X509Certificate[] | null => {
    const last = chain.at(-1);
    if (last === undefined || chain.length > MAX_DEPTH) return null;
    if (trusted.has(last) && isSelfSigned(last)) return chain;
    for (const candidate of candidates) {
      if (chain.includes(candidate) || candidate.subject !== last.issuer) continue;
      if ((checks += 1) > MAX_CHECKS) return null;
      if (!isIssuedBy(last, candidate)) continue;
      const found = search([...chain, candidate]);
      if (found !== null) return found;
    }
    return null;
  };
  return leaf.ca ? null : search([leaf]);
}

/** Whether a certificate is signed by its own key. */
export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.subject === certificate.issuer && isIssuedBy(certificate, certificate);
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    // A key of a kind that OpenSSL does not verify with.
    return false;
  }
}
