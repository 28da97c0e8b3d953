import type { FastifyRequest } from 'fastify';
import type { JobChannel } from '../../queue/index.js';

/** One way to know who is at the other end of the channel; one file each. */
export interface Authenticator {
  /** A challenge for `WWW-Authenticate`; null where HTTP has none for it. */
  readonly challenge: string | null;
  /**
   * @returns null where the request carries nothing for this authenticator.
   * @throws HttpProblem where it carries something that is not accepted: it is never ignored.
   */
  authenticate(request: FastifyRequest): Promise<JobChannel | null>;
  /** Ends timers, if there are any. */
  close?(): void;
}
