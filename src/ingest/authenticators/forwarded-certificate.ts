import { isIPv4 } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { FastifyRequest } from 'fastify';
import type { Logger } from '../../ops/log.js';
import type { JobChannel } from '../../queue/index.js';
import type { ClientCertificates } from '../certificates/client-certificates.js';
import { socketAddress, type Proxies } from '../../ops/peer.js';
import { HttpProblem } from '../problems.js';
import type { Authenticator } from './authenticator.js';
import { certificateChannel, refuseCertificate } from './certificate-channel.js';
import { hasForwardedCertificate, readForwardedCertificate } from './forwarded-headers.js';

/**
 * Client certificate that a proxy verified and forwarded. A header can be written by anybody, so it
 * is taken from listed proxies alone, over TLS or from the same machine; from all others it is
 * refused, because a client that believes in it, or a proxy that is not listed, must be found out.
 * The proxy's word is for the possession of the key; chain, dates, revocation, use and name are
 * judged here again.
 *
 * It stands in every gateway, also where no certificates are taken (`certificates` null).
 */
export class ForwardedCertificateAuthenticator implements Authenticator {
  readonly challenge = null;
  readonly #certificates: ClientCertificates | null;
  readonly #proxies: Proxies;
  readonly #log: Logger;

  constructor(certificates: ClientCertificates | null, proxies: Proxies, log: Logger) {
    this.#certificates = certificates;
    this.#proxies = proxies;
    this.#log = log;
  }

  /** @throws HttpProblem FORWARDED_IDENTITY_REFUSED | CERTIFICATE_REFUSED | CHANNEL_UNAVAILABLE */
  authenticate(request: FastifyRequest): Promise<JobChannel | null> {
    return Promise.resolve(this.#identify(request));
  }

  #identify(request: FastifyRequest): JobChannel | null {
    if (!hasForwardedCertificate(request.raw)) return null;
    const certificates = this.#assertTaken(request);
    let forwarded;
    try {
      forwarded = readForwardedCertificate(request.raw);
    } catch (error) {
      const why = error instanceof Error ? error.message : 'it cannot be read';
      this.#log.warn({ event: 'gateway.certificate_refused', reason: 'UNREADABLE', detail: why });
      throw refuseCertificate(`what the proxy forwarded cannot be read: ${why}`, error);
    }
    if (forwarded === null) return null;
    return certificateChannel(certificates, forwarded.leaf, forwarded.sent, this.#log);
  }

  #assertTaken(request: FastifyRequest): ClientCertificates {
    const address = socketAddress(request);
    const why =
      this.#certificates === null
        ? 'this gateway takes none (MPE_GATEWAY_AUTH)'
        : !this.#proxies.has(address)
          ? 'the address is no listed proxy (MPE_GATEWAY_PROXIES)'
          : !(request.raw.socket instanceof TLSSocket) && !isLoopback(address)
            ? 'it came without TLS over the network'
            : null;
    if (this.#certificates !== null && why === null) return this.#certificates;
    this.#log.warn(
      { event: 'gateway.forwarded_refused', address, reason: why },
      'a forwarded certificate is refused',
    );
    throw new HttpProblem(
      'FORWARDED_IDENTITY_REFUSED',
      'A header that names a client certificate is taken from listed proxies alone. Do not send it.',
    );
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || (isIPv4(address) && address.startsWith('127.'));
}
