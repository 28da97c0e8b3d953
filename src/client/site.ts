import type { X509Certificate } from 'node:crypto';
import { Agent } from 'node:https';
import { TLSSocket } from 'node:tls';
import { verifySiteDocument } from '../jose/site-document.js';
import { MpeError } from '../ops/errors.js';
import type { Guid } from '../protocol/guid.js';
import type { PublicJwk } from '../protocol/jwk.js';
import type { SiteDocument } from '../protocol/site-document.js';
import { exchangeHttp } from './http.js';
import { certificateThumbprint, checkLeaf, presentedChain } from './presented-chain.js';

/** A site document with what was needed to believe it. */
export interface TrustedSite {
  readonly jws: string;
  readonly document: SiteDocument;
  /** The CA of the gateways, PEM: what TLS is verified against from now on. */
  readonly ca: string;
}

/** What the client holds already. */
export interface SiteAnchor {
  readonly url: URL;
  readonly siteGuid: Guid;
  readonly rootThumbprint: string;
  /** 0 at enrolment. */
  readonly heldVersion: number;
}

/**
 * Fetches the site document and believes it for its signature by the pinned root alone: the TLS
 * connection is not trusted, and carries nothing secret. The chain that it shows must lead to the
 * CA that the document names; that CA is pinned then.
 *
 * @throws MpeError UNREACHABLE, or NOT_AUTHENTIC (another root, another site, a lower version, a
 *   chain that does not lead to the site's CA).
 */
export async function fetchSite(anchor: SiteAnchor, timeoutMs: number): Promise<TrustedSite> {
  const agent = new Agent({ keepAlive: false, rejectUnauthorized: false, maxCachedSessions: 0 });
  try {
    let chain: X509Certificate[] = [];
    const answer = await exchangeHttp({
      agent,
      url: new URL('/v1/site', anchor.url),
      method: 'GET',
      headers: { accept: 'application/jose' },
      timeoutMs,
      onResponse: (response) => {
        if (response.socket instanceof TLSSocket) chain = presentedChain(response.socket);
      },
    });
    if (answer.status !== 200) {
      throw new MpeError('UNREACHABLE', `GET /v1/site answers ${answer.status}`);
    }
    return await verifySite(answer.body.toString('latin1').trim(), chain, anchor);
  } finally {
    agent.destroy();
  }
}

/**
 * Verifies a site document against the pinned root, and the presented chain against it.
 *
 * @throws MpeError NOT_AUTHENTIC
 */
export async function verifySite(
  jws: string,
  chain: readonly X509Certificate[],
  anchor: SiteAnchor,
): Promise<TrustedSite> {
  const document = await verifySigned(jws, anchor.rootThumbprint);
  if (document.siteGuid !== anchor.siteGuid) {
    throw new MpeError('NOT_AUTHENTIC', `the site document is of site ${document.siteGuid}`);
  }
  if (document.version < anchor.heldVersion) {
    throw new MpeError(
      'NOT_AUTHENTIC',
      `the site document has version ${document.version}, below version ${anchor.heldVersion} that this client holds`,
    );
  }
  const ca = chain.find((one) => certificateThumbprint(one) === document.gatewayCaThumbprint);
  const leaf = chain[0];
  if (ca === undefined || leaf === undefined) {
    throw new MpeError(
      'NOT_AUTHENTIC',
      "the server does not present the CA that the site document names; its certificate file must hold the gateway's certificate and the site CA",
    );
  }
  checkLeaf(leaf, ca, anchor.url.hostname.replace(/^\[|\]$/g, ''));
  return { jws, document, ca: ca.toString() };
}

async function verifySigned(jws: string, rootThumbprint: string): Promise<SiteDocument> {
  try {
    return await verifySiteDocument(jws, rootThumbprint);
  } catch (error) {
    // One answer for every way of not being the document of the pinned root, or of one that it
    // handed the site over to.
    throw new MpeError(
      'NOT_AUTHENTIC',
      'the site document is not signed by the site root that this client pinned, nor by a root that it handed the site over to; without that, a new root needs a new enrolment',
      { cause: error },
    );
  }
}

/**
 * The key to seal to: the first in the site's order of preference that this client can use.
 *
 * @throws MpeError NOT_AUTHENTIC where there is none, which the document's rules exclude.
 */
export function chooseSealingKey(document: SiteDocument): PublicJwk {
  const key = document.sealingKeys.find((one) => one.alg === 'RSA-OAEP-256' || one.alg === 'ECDH-ES+A256KW');
  if (key === undefined) throw new MpeError('NOT_AUTHENTIC', 'the site document offers no sealing key');
  return key;
}
