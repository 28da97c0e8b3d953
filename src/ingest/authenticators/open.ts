import { readFileSync } from 'node:fs';
import type { GatewayChannels } from '../../config/index.js';
import type { Clock } from '../../ops/clock.js';
import { MpeError } from '../../ops/errors.js';
import type { Logger } from '../../ops/log.js';
import { dropsSentChain, SENT_CHAIN_FIX } from '../../ops/sent-chain.js';
import type { Guid } from '../../protocol/guid.js';
import type { ClientCertificates } from '../certificates/client-certificates.js';
import type { Proxies } from '../../ops/peer.js';
import type { SiteView } from '../site-view.js';
import type { Authenticator } from './authenticator.js';
import { ForwardedCertificateAuthenticator } from './forwarded-certificate.js';
import { SiteTokenAuthenticator } from './site-token.js';

/** What the authenticators of a gateway stand on. */
export interface ChannelOptions {
  readonly channels: GatewayChannels;
  readonly siteGuid: Guid;
  readonly site: SiteView;
  readonly proxies: Proxies;
  readonly clock: Clock;
  readonly log: Logger;
  /** For tests: how often files and keys are looked at again. */
  readonly lookEveryMs?: number | undefined;
}

/** The authenticators of a gateway, and the CAs whose certificates its listener asks for. */
export interface Channels {
  readonly authenticators: readonly Authenticator[];
  /** PEM; empty: the listener asks for no certificate. */
  readonly clientCas: readonly string[];
  close(): void;
}

/**
 * Opens the authenticators that `MPE_GATEWAY_AUTH` names. What only one of them needs is loaded for
 * it alone.
 *
 * @throws MpeError CONFIG_INVALID where a file that they need is missing or wrong.
 */
export async function openChannels(options: ChannelOptions): Promise<Channels> {
  const { channels, siteGuid, site, proxies, clock, log } = options;
  const uses = (method: GatewayChannels['methods'][number]): boolean => channels.methods.includes(method);
  const authenticators: Authenticator[] = [];
  const direct = uses('client-certificate');
  const certificates = direct || uses('forwarded-certificate') ? await openCertificates(options) : null;
  if (direct && certificates !== null) {
    warnOfDroppedChain(log);
    const { ClientCertificateAuthenticator } = await import('./client-certificate.js');
    authenticators.push(new ClientCertificateAuthenticator(certificates, proxies, log));
  }
  authenticators.push(
    new ForwardedCertificateAuthenticator(uses('forwarded-certificate') ? certificates : null, proxies, log),
  );
  if (uses('site-token')) {
    authenticators.push(new SiteTokenAuthenticator({ siteGuid, site, clock, takesAll: !uses('entra') }));
  }
  if (uses('entra')) authenticators.push(await openEntra(options));
  return {
    authenticators,
    clientCas: direct ? (certificates?.caPems ?? []) : [],
    close: () => {
      certificates?.close();
      for (const authenticator of authenticators) authenticator.close?.();
    },
  };
}

/** Says that this Node loses intermediates: certificates below one are refused as of no CA of the site. */
export function warnOfDroppedChain(log: Logger, nodeVersion: string = process.versions.node): void {
  if (!dropsSentChain(nodeVersion)) return;
  log.warn(
    { event: 'gateway.sent_chain_dropped', nodeVersion },
    `Node ${nodeVersion} drops the intermediate certificates that clients send: ${SENT_CHAIN_FIX}`,
  );
}

async function openCertificates(options: ChannelOptions): Promise<ClientCertificates> {
  const { channels, clock, log, lookEveryMs } = options;
  const { CrlStore } = await import('../certificates/crl-store.js');
  const { ClientCertificates } = await import('../certificates/client-certificates.js');
  const crls = await CrlStore.open({
    paths: channels.clientCrl,
    onFailure: channels.crlFailure,
    log,
    ...(lookEveryMs === undefined ? {} : { lookEveryMs }),
  });
  if (channels.clientCrl.length === 0) {
    log.warn(
      { event: 'gateway.no_crl' },
      'MPE_GATEWAY_CLIENT_CRL is not set: revoked client certificates are accepted until they end',
    );
  }
  return new ClientCertificates(channels.clientCa, crls, clock);
}

async function openEntra(options: ChannelOptions): Promise<Authenticator> {
  const { channels, clock, log, lookEveryMs } = options;
  const { entra } = channels;
  if (entra === null)
    throw new MpeError('CONFIG_INVALID', 'MPE_GATEWAY_AUTH names entra; its settings are missing');
  const { DeviceKeys } = await import('./device-keys.js');
  const { EntraAuthenticator } = await import('./entra.js');
  const keys = new DeviceKeys({
    url: entra.keysUrl,
    ca: entra.ca === null ? null : readCa(entra.ca),
    log,
    ...(lookEveryMs === undefined ? {} : { unknownEveryMs: lookEveryMs }),
  });
  await keys.start();
  return new EntraAuthenticator(entra, keys, clock, log);
}

function readCa(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new MpeError('CONFIG_INVALID', `MPE_GATEWAY_ENTRA_CA: ${path} cannot be read`, { cause });
  }
}
