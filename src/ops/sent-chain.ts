/**
 * Releases of Node whose TLS servers ask for the client's certificate during the handshake and drop the
 * first intermediate by it, so that `getPeerCertificate(true)` has the client's own alone
 * (https://github.com/nodejs/node/issues/65579). 24.20 and 26.7 do not, 24.22.1 and 26.9 do not any more.
 */
const DROPPING = /^(?:24\.21|26\.8)\./;

/** What operators do about it. */
export const SENT_CHAIN_FIX =
  'use another release (24.22.1 or later), or put the intermediate CAs into MPE_GATEWAY_CLIENT_CA';

/** Whether a TLS server on this Node loses the intermediates that clients send with their certificate. */
export function dropsSentChain(version: string = process.versions.node): boolean {
  return DROPPING.test(version);
}
