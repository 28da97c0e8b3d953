/** A client may hold this many quarantined messages whatever the site's bound is. */
const LEAST = 16;

/**
 * Rows of quarantine that one client may hold: a hundredth of the site's bound. What is quarantined
 * was not verified, so without a share one client (or who speaks for it) could fill the quarantine
 * of all. A client that works keeps a handful of messages and sends the same ones again.
 *
 * @param bound rows of the whole site
 */
export function quarantineShare(bound: number): number {
  return Math.min(bound, Math.max(LEAST, Math.ceil(bound / 100)));
}
