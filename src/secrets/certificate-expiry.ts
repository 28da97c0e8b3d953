import { X509Certificate } from 'node:crypto';

const DAY_MS = 86_400_000;
/** Days before the end from which on one is warned, more and more urgently. */
const WARN_DAYS = [1, 7, 30] as const;

/** When a certificate ends. Nobody enforces it for this use: reading goes on. */
export interface CertificateExpiry {
  readonly notAfterMs: number;
  /** null: not soon; else a sentence for the operator. */
  readonly warning: string | null;
}

/** The end of a certificate (PEM) and what is to be said of it now. */
export function certificateExpiry(pem: string, nowMs: number): CertificateExpiry {
  const notAfterMs = Date.parse(new X509Certificate(pem).validTo);
  const leftMs = notAfterMs - nowMs;
  const on = new Date(notAfterMs).toISOString().slice(0, 10);
  const rest =
    'Everything stays readable; change it with "mpe certificate create" and "mpe certificate rotate".';
  if (leftMs <= 0) return { notAfterMs, warning: `the certificate has expired on ${on}. ${rest}` };
  const within = WARN_DAYS.find((days) => leftMs <= days * DAY_MS);
  if (within === undefined) return { notAfterMs, warning: null };
  const span = within === 1 ? 'a day' : `${within} days`;
  return { notAfterMs, warning: `the certificate expires in less than ${span}, on ${on}. ${rest}` };
}
