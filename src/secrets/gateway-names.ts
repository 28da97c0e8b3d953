import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { MpeError } from '../ops/errors.js';

const HOST_LABELS =
  /^(?!.{254})(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$/;

/**
 * The names a gateway is reached by: localhost, 127.0.0.1, ::1, this host's name, and what is given.
 *
 * @throws MpeError USAGE naming one that is neither a host name nor an address
 */
export function gatewayNames(given: readonly string[], host = hostname()): readonly string[] {
  for (const name of given) {
    if (isIP(name) === 0 && !HOST_LABELS.test(name)) {
      throw new MpeError('USAGE', `"${name}" is neither a host name nor an IP address`);
    }
  }
  const own = HOST_LABELS.test(host) ? [host] : [];
  const all = ['localhost', '127.0.0.1', '::1', ...own, ...given].map((name) => name.toLowerCase());
  return [...new Set(all)];
}

/** The names that a gateway's certificate (PEM; of a chain the first) is good for, as they were given. */
export function namesOf(chainPem: string): readonly string[] {
  const names = new X509Certificate(chainPem).subjectAltName?.split(', ') ?? [];
  return names.map((name) => {
    const value = name.slice(name.indexOf(':') + 1);
    // OpenSSL writes every zero of an IPv6 address.
    return isIP(value) === 6 ? new URL(`http://[${value}]`).hostname.slice(1, -1) : value.toLowerCase();
  });
}
