import { hostname } from 'node:os';
import type { Config } from '../config/config.js';
import type { Present } from '../queue/index.js';

/** Ways to authenticate that rest on a certificate or a tenant's token, as an HTTPS management point's. */
const OF_HTTPS: ReadonlySet<string> = new Set(['client-certificate', 'forwarded-certificate', 'entra']);

/**
 * What a gateway is as a management point. TLS with client certificates or device tokens is HTTPS;
 * TLS with site tokens alone is enhanced HTTP; neither TLS nor a proxy that ends it is HTTP.
 */
export function managementPointOf(
  gateway: Pick<Config['gateway'], 'id' | 'tls' | 'proxies' | 'channels' | 'listen'>,
  port: number,
): NonNullable<Present['managementPoint']> {
  const secure = gateway.tls || gateway.proxies.length > 0;
  const byCertificate = gateway.channels.methods.some((method) => OF_HTTPS.has(method));
  return {
    id: gateway.id,
    channel: !secure ? 'HTTP' : byCertificate ? 'HTTPS' : 'ENHANCED_HTTP',
    address: `${gateway.tls ? 'https' : 'http'}://${hostname()}:${port}`,
  };
}
