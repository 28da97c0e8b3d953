import { MpeError } from '../ops/errors.js';
import { VERSION } from '../ops/version.js';
import { LIMITS } from '../protocol/vocabulary.js';
import { DEFAULT_BACKOFF } from './backoff.js';
import type { ClientOptions, Settings } from './context.js';

/**
 * Fills in the defaults.
 *
 * @throws MpeError USAGE where a value is outside its range.
 */
export function clientSettings(options: ClientOptions): Settings {
  const settings: Settings = {
    waitSeconds: options.waitSeconds ?? 10,
    timeoutMs: options.timeoutMs ?? 10_000,
    backoff: options.backoff ?? DEFAULT_BACKOFF,
    concurrency: options.concurrency ?? 4,
    onEvent: options.onEvent ?? (() => undefined),
    now: options.now ?? Date.now,
    clientVersion: options.clientVersion ?? `mpe-client/${VERSION}`,
    random: options.random ?? Math.random,
    certificate: options.certificate ?? null,
    deviceToken: options.deviceToken ?? null,
  };
  const { waitSeconds, concurrency, clientVersion } = settings;
  if (!Number.isInteger(waitSeconds) || waitSeconds < 0 || waitSeconds > LIMITS.waitSeconds) {
    throw new MpeError('USAGE', `waitSeconds is 0 to ${LIMITS.waitSeconds}`);
  }
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new MpeError('USAGE', 'concurrency is 1 or more');
  }
  if (clientVersion.length > LIMITS.clientVersionChars) {
    throw new MpeError('USAGE', `clientVersion has at most ${LIMITS.clientVersionChars} characters`);
  }
  return settings;
}

/**
 * Reads the gateway's address.
 *
 * @throws MpeError USAGE for anything but https.
 */
export function gatewayUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new MpeError('USAGE', 'the gateway is named by a URL such as https://mp1.example.org:8443');
  }
  if (url.protocol !== 'https:') {
    throw new MpeError('USAGE', 'a client talks to a gateway over https only');
  }
  return url;
}
