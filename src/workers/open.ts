import { open } from '../jose/index.js';
import { isMpeError } from '../ops/errors.js';
import type { SiteContext } from './site-context.js';
import { refuse, type Refusal } from './types.js';

/**
 * Stage `open`: the JWE of an envelope, with the sealing key that its kid names.
 *
 * A kid that is not known here may be minutes old: the keys are read again from the site database,
 * at most every few seconds, before the message is put in quarantine.
 */
export async function openEnvelope(
  sealed: string,
  site: SiteContext,
): Promise<{ kind: 'opened'; jws: string } | Refusal> {
  const first = await tryOpen(sealed, site);
  if (first.kind !== 'refused' || first.reason !== 'SEALING_KEY_UNKNOWN') return first;
  return (await site.reloadForUnknownKid()) ? tryOpen(sealed, site) : first;
}

async function tryOpen(
  sealed: string,
  site: SiteContext,
): Promise<{ kind: 'opened'; jws: string } | Refusal> {
  try {
    const { payload } = await open(sealed, 'mpe-env', site.current.openingKeys);
    // A compact JWS is ASCII; anything else fails the guard of the next stage.
    return { kind: 'opened', jws: payload.toString('latin1') };
  } catch (error) {
    if (isMpeError(error, 'KID_UNKNOWN'))
      return refuse('SEALING_KEY_UNKNOWN', error.message, String(error.facts['kid'] ?? ''));
    if (isMpeError(error, 'CANNOT_OPEN')) return refuse('CANNOT_OPEN', `open: ${error.message}`);
    throw error;
  }
}
