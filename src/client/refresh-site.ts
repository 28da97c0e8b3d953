import { isMpeError } from '../ops/errors.js';
import { PinnedAgent } from './pinned-agent.js';
import type { ClientContext, Settings } from './context.js';
import { fetchSite } from './site.js';

/** Sockets per client; requests of one client share them. */
const MAX_SOCKETS = 8;

/** The agent that verifies TLS against a site's CA. */
export function siteAgent(ca: string, settings: Settings): PinnedAgent {
  return new PinnedAgent({
    ca,
    now: settings.now,
    onDateWarning: (detail) => settings.onEvent({ event: 'client.tls-dates', detail }),
    maxSockets: Math.max(MAX_SOCKETS, settings.concurrency),
    certificate: settings.certificate,
  });
}

/**
 * Reads the site document again and takes it where it is newer, with the CA that it names. Anything
 * else (another root, a lower version, no answer) is reported and changes nothing. Calls that come
 * while one is under way share it.
 */
export function refreshSite(context: ClientContext): Promise<void> {
  context.refreshing ??= refresh(context).finally(() => {
    context.refreshing = null;
  });
  return context.refreshing;
}

async function refresh(context: ClientContext): Promise<void> {
  const { keeper, settings } = context;
  const { siteGuid, rootThumbprint, gatewayCa } = keeper.state;
  const heldVersion = context.document.version;
  try {
    const site = await fetchSite(
      { url: context.url, siteGuid, rootThumbprint, heldVersion },
      settings.timeoutMs,
    );
    if (site.document.version === heldVersion && site.ca === gatewayCa) return;
    await keeper.update((state) => {
      // The pinned root, or the one that it handed the site over to: both signatures verified.
      state.rootThumbprint = site.document.rootKey.kid;
      state.siteDocument = site.jws;
      state.siteDocumentVersion = site.document.version;
      state.gatewayCa = site.ca;
    });
    if (site.ca !== gatewayCa) {
      const old = context.agent;
      context.agent = siteAgent(site.ca, settings);
      // Requests under way on the old connections end by themselves.
      setTimeout(() => old.destroy(), settings.timeoutMs + settings.waitSeconds * 1000).unref();
    }
    context.document = site.document;
    settings.onEvent({ event: 'client.site-document-taken', version: site.document.version });
  } catch (error) {
    if (!isMpeError(error) || error.code === 'STATE_INVALID') throw error;
    settings.onEvent({ event: 'client.site-document-refused', detail: error.message });
  }
}
