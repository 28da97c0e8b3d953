import { LIMITS } from '../protocol/vocabulary.js';

/**
 * The seconds that a client is willing to wait, from `Prefer: wait=N` (RFC 7240): the first one
 * counts, at most 30. A preference that is not understood is ignored, as the RFC demands.
 *
 * @returns null where the client named none.
 */
export function waitPreference(header: string | readonly string[] | undefined): number | null {
  const lines = typeof header === 'string' ? [header] : (header ?? []);
  for (const preference of lines.join(',').split(',')) {
    const match = /^\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:;.*)?$/i.exec(preference);
    if (match !== null) return Math.min(Number(match[1]), LIMITS.waitSeconds);
  }
  return null;
}
