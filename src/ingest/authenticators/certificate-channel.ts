import type { Logger } from '../../ops/log.js';
import type { JobChannel } from '../../queue/index.js';
import type { ClientCertificates } from '../certificates/client-certificates.js';
import { CertificateRefused } from '../certificates/refusal.js';
import { HttpProblem } from '../problems.js';

/**
 * The channel of a client certificate, however it came.
 *
 * @throws HttpProblem CERTIFICATE_REFUSED, or CHANNEL_UNAVAILABLE where the operator has to look.
 */
export function certificateChannel(
  certificates: ClientCertificates,
  leaf: Uint8Array,
  sent: readonly Uint8Array[],
  log: Logger,
): JobChannel {
  try {
    return { method: 'client-certificate', ...certificates.check(leaf, sent) };
  } catch (error) {
    if (!(error instanceof CertificateRefused)) throw error;
    log.warn({ event: 'gateway.certificate_refused', reason: error.fault, detail: error.message });
    if (error.fault === 'REVOCATION_UNKNOWN') {
      throw new HttpProblem(
        'CHANNEL_UNAVAILABLE',
        `An operator has to look: ${error.message}. Send the same request again later.`,
        { cause: error },
      );
    }
    throw refuseCertificate(error.message, error);
  }
}

/** The problem of a certificate that is not accepted. */
export function refuseCertificate(why: string, cause?: unknown): HttpProblem {
  return new HttpProblem(
    'CERTIFICATE_REFUSED',
    `The client certificate is refused: ${why}. Renew it, or send none and use a site token; do not register anew.`,
    { headers: { 'www-authenticate': 'TLS-Client-Certificate' }, cause },
  );
}
