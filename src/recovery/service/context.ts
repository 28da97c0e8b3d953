import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { RecoveryServiceSettings } from '../../config/index.js';
import type { Clock } from '../../ops/clock.js';
import type { Logger } from '../../ops/log.js';
import type { Operation } from '../roles.js';
import type { Caller, CallSource, RecoveryServices } from '../services.js';
import type { Portal, Session } from '../sign-in/session.js';

/**
 * What a route demands, declared in its `config.access`; a route without it does not start:
 *  * an operation of the table in roles.ts;
 *  * `signed-in`: anybody who is known;
 *  * `public`: nobody is asked (sign-in pages, styles, the OpenAPI document).
 */
export type Access = Operation | 'signed-in' | 'public';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the route demands. */
    access?: Access;
    /** Through what its requests come; default `Recovery API`. */
    source?: CallSource;
    /** A page of this portal: problems are told as pages, and who is not signed in is sent to sign in. */
    page?: Portal;
    /** Content types that its body may have; default JSON. */
    takes?: readonly string[];
  }
}

/** What the routes of the recovery service share. Pages get it as API routes do. */
export interface ServiceContext {
  readonly services: RecoveryServices;
  readonly settings: RecoveryServiceSettings;
  readonly clock: Clock;
  readonly log: Logger;
  /** How people may sign in now. */
  signInWays(): Promise<{ readonly local: boolean; readonly oidc: boolean; readonly breakGlass: boolean }>;
  /** The session of a request; null where nobody is signed in (on `public` routes) or a token was sent. */
  sessionOf(request: FastifyRequest): Session | null;
  /** Who asks, for services; behind a route that demands somebody. */
  callerOf(request: FastifyRequest): Caller;
  /** Remembers that the notice was accepted. */
  acceptNotice(request: FastifyRequest): Promise<void>;
  /**
   * Ends the session of a request and clears its cookie. Answers where to go then: the provider's own
   * sign-out, or the sign-in page of the portal.
   */
  signOut(request: FastifyRequest, reply: FastifyReply): Promise<string>;
}

/** Adds routes to the service: pages come as one of these. */
export type RouteModule = (server: FastifyInstance, context: ServiceContext) => void;
