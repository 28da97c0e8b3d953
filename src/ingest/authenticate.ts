import type { FastifyRequest } from 'fastify';
import type { JobChannel } from '../queue/index.js';
import type { Authenticator } from './authenticators/authenticator.js';
import { HttpProblem } from './problems.js';

/**
 * Who sent a request: the first authenticator that finds something of its own decides.
 *
 * @throws HttpProblem AUTHENTICATION_REQUIRED where none does, or what that one throws.
 */
export async function authenticate(
  authenticators: readonly Authenticator[],
  request: FastifyRequest,
): Promise<JobChannel> {
  for (const authenticator of authenticators) {
    const channel = await authenticator.authenticate(request);
    if (channel !== null) return channel;
  }
  throw new HttpProblem(
    'AUTHENTICATION_REQUIRED',
    'Send "Authorization: Bearer" with a site token (POST /v1/token).',
    { headers: { 'www-authenticate': authenticators.map(({ challenge }) => challenge).join(', ') } },
  );
}
