import type { FastifyRequest } from 'fastify';
import type { JobChannel } from '../../queue/index.js';

/** One way to know who is at the other end of the channel; one file each. */
export interface Authenticator {
  readonly method: JobChannel['method'];
  /** A challenge for `WWW-Authenticate`. */
  readonly challenge: string;
  /**
   * @returns null where the request carries nothing for this authenticator.
   * @throws HttpProblem 401 or 403 where it carries something that is not accepted.
   */
  authenticate(request: FastifyRequest): Promise<JobChannel | null>;
}
