/** Why a client certificate is not accepted. */
export type CertificateFault =
  | 'UNREADABLE'
  | 'UNTRUSTED'
  | 'NOT_YET_VALID'
  | 'EXPIRED'
  | 'REVOKED'
  | 'WRONG_USAGE'
  | 'WEAK'
  | 'NO_CLIENT_ID'
  | 'NAMES_DISAGREE'
  /** The operator's fault: the list that would tell is missing or out of date. */
  | 'REVOCATION_UNKNOWN';

/** A client certificate is not accepted. The text may be told to the client: it is about its own certificate. */
export class CertificateRefused extends Error {
  readonly fault: CertificateFault;

  constructor(fault: CertificateFault, text: string, cause?: unknown) {
    super(text, cause === undefined ? undefined : { cause });
    this.name = 'CertificateRefused';
    this.fault = fault;
  }
}
