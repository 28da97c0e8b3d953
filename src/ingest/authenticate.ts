import type { FastifyRequest } from 'fastify';
import type { JobChannel } from '../queue/index.js';
import type { Authenticator } from './authenticators/authenticator.js';
import { HttpProblem } from './problems.js';

/** Which identity goes on with the job where a request proves several that agree. */
const RANK: Readonly<Record<JobChannel['method'], number>> = {
  'client-certificate': 2,
  entra: 1,
  'site-token': 0,
};

/**
 * Who sent a request: every authenticator is asked, and all that find something must name the same
 * client.
 *
 * @returns null where none finds anything.
 * @throws HttpProblem IDENTITY_CONFLICT where two disagree, or what an authenticator throws: a
 *   credential that is not accepted is never passed over for another one.
 */
export async function identify(
  authenticators: readonly Authenticator[],
  request: FastifyRequest,
): Promise<JobChannel | null> {
  let best: JobChannel | null = null;
  for (const authenticator of authenticators) {
    const channel = await authenticator.authenticate(request);
    if (channel === null) continue;
    if (best !== null && disagree(best, channel)) {
      throw new HttpProblem(
        'IDENTITY_CONFLICT',
        'The request carries two identities, of different clients or certificates. Send one, or several of the same client.',
      );
    }
    if (best === null || RANK[channel.method] > RANK[best.method]) best = channel;
  }
  return best;
}

/**
 * As {@link identify}, for requests that need an identity.
 *
 * @throws HttpProblem AUTHENTICATION_REQUIRED where there is none.
 */
export async function authenticate(
  authenticators: readonly Authenticator[],
  request: FastifyRequest,
): Promise<JobChannel> {
  const channel = await identify(authenticators, request);
  if (channel !== null) return channel;
  const challenges = authenticators.flatMap(({ challenge }) => challenge ?? []);
  throw new HttpProblem(
    'AUTHENTICATION_REQUIRED',
    'Send "Authorization: Bearer" with a site token (POST /v1/token), or what else this gateway takes.',
    { headers: { 'www-authenticate': [...new Set(challenges)].join(', ') || 'TLS-Client-Certificate' } },
  );
}

function disagree(one: JobChannel, other: JobChannel): boolean {
  if (one.clientId !== other.clientId) return true;
  // Two certificates of one client: that of the connection, and one that was forwarded.
  return one.method !== 'site-token' && one.method === other.method && 'subject' in other
    ? one.subject !== other.subject
    : false;
}
