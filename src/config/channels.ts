import { resolve } from 'node:path';
import type { ChannelMethod } from './settings.js';

/** So many a second in the long run, and so many at once. */
interface Limit {
  readonly perSecond: number;
  readonly burst: number;
}

/** Rate limits of a gateway; null: off. */
export interface GatewayLimits {
  readonly client: Limit | null;
  readonly address: Limit | null;
  readonly registration: Limit | null;
}

/** What a device token must be. */
export interface EntraSettings {
  readonly tenantId: string;
  readonly audience: string;
  readonly issuer: string;
  readonly keysUrl: string;
  /** PEM file; null: the CAs of Node.js. */
  readonly ca: string | null;
}

/** How clients may show who they are. */
export interface GatewayChannels {
  readonly methods: readonly ChannelMethod[];
  readonly clientCa: readonly string[];
  readonly clientCrl: readonly string[];
  readonly crlFailure: 'refuse' | 'accept';
  readonly entra: EntraSettings | null;
}

/** The settings for device tokens, with the addresses of Entra ID where none are given. */
export function entraOf(given: {
  readonly tenant: string | null;
  readonly audience: string | null;
  readonly issuer: string | null;
  readonly keysUrl: string | null;
  readonly ca: string | null;
}): EntraSettings | null {
  if (given.tenant === null || given.audience === null) return null;
  const login = `https://login.microsoftonline.com/${given.tenant}`;
  return {
    tenantId: given.tenant,
    audience: given.audience,
    issuer: given.issuer ?? `${login}/v2.0`,
    keysUrl: given.keysUrl ?? `${login}/discovery/v2.0/keys`,
    ca: given.ca === null ? null : resolve(given.ca),
  };
}

/** What the settings of the channels lack together, one sentence each. */
export function channelProblems(config: {
  readonly gateway: {
    readonly tls: boolean;
    readonly proxies: readonly unknown[];
    readonly channels: GatewayChannels;
  };
  readonly clientChannel: { readonly certificate: string | null; readonly certificateKey: string | null };
}): string[] {
  const { tls, proxies, channels } = config.gateway;
  const uses = (method: ChannelMethod): boolean => channels.methods.includes(method);
  const problems: string[] = [];
  if ((uses('client-certificate') || uses('forwarded-certificate')) && channels.clientCa.length === 0) {
    problems.push(
      'MPE_GATEWAY_AUTH takes certificates; set MPE_GATEWAY_CLIENT_CA to the CAs that issue them',
    );
  }
  if (uses('client-certificate') && !tls) {
    problems.push(
      'MPE_GATEWAY_AUTH names client-certificate, which needs MPE_GATEWAY_TLS=on; behind a proxy use forwarded-certificate',
    );
  }
  if (uses('forwarded-certificate') && proxies.length === 0) {
    problems.push(
      'MPE_GATEWAY_AUTH names forwarded-certificate; set MPE_GATEWAY_PROXIES to the proxies that forward',
    );
  }
  if (uses('entra') && channels.entra === null) {
    problems.push(
      'MPE_GATEWAY_AUTH names entra; set MPE_GATEWAY_ENTRA_TENANT and MPE_GATEWAY_ENTRA_AUDIENCE',
    );
  }
  const { certificate, certificateKey } = config.clientChannel;
  if ((certificate === null) !== (certificateKey === null)) {
    problems.push('MPE_CLIENT_CERTIFICATE and MPE_CLIENT_CERTIFICATE_KEY are set together or not at all');
  }
  return problems;
}
