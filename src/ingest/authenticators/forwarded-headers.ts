import type { IncomingMessage } from 'node:http';

/** RFC 9440: the certificate that the proxy verified, and the rest of its chain. */
const STANDARD = 'client-cert';
const STANDARD_CHAIN = 'client-cert-chain';
/** nginx: `proxy_set_header X-Client-Cert $ssl_client_escaped_cert`. */
const NGINX = 'x-client-cert';

const PEM = /^\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*$/;
const BYTES = /^:([A-Za-z0-9+/]+={0,2}):$/;

/** A certificate as a proxy forwarded it, DER. */
export interface ForwardedCertificate {
  readonly leaf: Buffer;
  readonly sent: readonly Buffer[];
}

/** Whether a request carries a header that names a certificate, empty ones included. */
export function hasForwardedCertificate(request: IncomingMessage): boolean {
  return [STANDARD, STANDARD_CHAIN, NGINX].some((name) => name in request.headersDistinct);
}

/**
 * Reads the forwarded certificate.
 *
 * @returns null where the proxy says that its client showed none (nginx sends an empty header).
 * @throws Error where the headers are not exactly one certificate in exactly one form.
 */
export function readForwardedCertificate(request: IncomingMessage): ForwardedCertificate | null {
  const standard = lineOf(request, STANDARD);
  const chain = lineOf(request, STANDARD_CHAIN);
  const nginx = lineOf(request, NGINX);
  if (standard !== null && nginx !== null) throw new Error('it stands in two headers');
  if (nginx !== null) {
    if (chain !== null) throw new Error('a chain stands beside it that is not its own');
    return { leaf: readEscapedPem(nginx), sent: [] };
  }
  if (standard === null) {
    if (chain !== null) throw new Error('a chain is there without a certificate');
    return null;
  }
  return { leaf: readBytes(standard), sent: (chain ?? '').split(',').flatMap((one) => optionalBytes(one)) };
}

/** The one line of a header; null where it is absent or empty. */
function lineOf(request: IncomingMessage, name: string): string | null {
  const lines = request.headersDistinct[name] ?? [];
  // A chain is a list, which may come in several lines; a certificate is one.
  if (lines.length > 1 && name !== STANDARD_CHAIN) throw new Error('it is there twice');
  const line = lines.join(',').trim();
  return line === '' ? null : line;
}

function readEscapedPem(text: string): Buffer {
  if (/\s/.test(text)) throw new Error('it is not URL-encoded');
  let pem: string;
  try {
    pem = decodeURIComponent(text);
  } catch {
    throw new Error('it is not URL-encoded');
  }
  const base64 = PEM.exec(pem)?.[1];
  if (base64 === undefined) throw new Error('it is not one certificate in PEM');
  return strictBase64(base64.replaceAll(/\s/g, ''));
}

function optionalBytes(item: string): Buffer[] {
  return item.trim() === '' ? [] : [readBytes(item.trim())];
}

/** A byte sequence of RFC 8941. */
function readBytes(text: string): Buffer {
  const base64 = BYTES.exec(text)?.[1];
  if (base64 === undefined) throw new Error('it is not a byte sequence (RFC 9440)');
  return strictBase64(base64);
}

function strictBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new Error('it is not strict base64');
  return bytes;
}
