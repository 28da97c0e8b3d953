import { TLSSocket, type DetailedPeerCertificate } from 'node:tls';
import type { FastifyRequest } from 'fastify';
import type { Logger } from '../../ops/log.js';
import type { JobChannel } from '../../queue/index.js';
import type { ClientCertificates } from '../certificates/client-certificates.js';
import type { Proxies } from '../../ops/peer.js';
import { socketAddress } from '../../ops/peer.js';
import type { Authenticator } from './authenticator.js';
import { certificateChannel, refuseCertificate } from './certificate-channel.js';

/** What a connection showed: DER, its own certificate first. */
type Shown = readonly Uint8Array[];

/**
 * Client certificate by mutual TLS, on the gateway's own listener. TLS proves that the peer holds
 * the key and checks the chain; the same rules as for a forwarded certificate are applied on top, on
 * every request, so that a revocation also ends connections that stand.
 *
 * The certificate of a listed proxy is the proxy's and names no client.
 */
export class ClientCertificateAuthenticator implements Authenticator {
  readonly challenge = null;
  readonly #certificates: ClientCertificates;
  readonly #proxies: Proxies;
  readonly #log: Logger;
  readonly #shown = new WeakMap<TLSSocket, Shown>();

  constructor(certificates: ClientCertificates, proxies: Proxies, log: Logger) {
    this.#certificates = certificates;
    this.#proxies = proxies;
    this.#log = log;
  }

  /** @throws HttpProblem CERTIFICATE_REFUSED | CHANNEL_UNAVAILABLE */
  authenticate(request: FastifyRequest): Promise<JobChannel | null> {
    return Promise.resolve(this.#identify(request));
  }

  #identify(request: FastifyRequest): JobChannel | null {
    const { socket } = request.raw;
    if (!(socket instanceof TLSSocket)) return null;
    const [leaf, ...sent] = this.#shownBy(socket);
    if (leaf === undefined || this.#proxies.has(socketAddress(request))) return null;
    // Our rules first: they say precisely what is wrong.
    const channel = certificateChannel(this.#certificates, leaf, sent, this.#log);
    if (socket.authorized) return channel;
    const why = String(socket.authorizationError);
    this.#log.warn({ event: 'gateway.certificate_refused', clientId: channel.clientId, reason: why });
    throw refuseCertificate(`TLS does not accept the certificate (${why})`);
  }

  #shownBy(socket: TLSSocket): Shown {
    let shown = this.#shown.get(socket);
    if (shown === undefined) {
      shown = presented(socket);
      this.#shown.set(socket, shown);
    }
    return shown;
  }
}

function presented(socket: TLSSocket): Shown {
  const chain: Uint8Array[] = [];
  const seen = new Set<string>();
  let next: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  // No certificate is an empty object, and a self-signed one names itself as its issuer.
  while (next?.raw !== undefined && next.fingerprint256 !== undefined && !seen.has(next.fingerprint256)) {
    seen.add(next.fingerprint256);
    chain.push(next.raw);
    next = next.issuerCertificate;
  }
  return chain;
}
