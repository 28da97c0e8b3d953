import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RecoveryServiceSettings } from '../../../config/index.js';
import type { RouteModule } from '../../service/context.js';
import type { RecoveryProblem } from '../../service/problems.js';
import { adminServiceRoutes, sendODataError } from './admin-service.js';
import { mbamRoutes, sendFault } from './mbam.js';
import type { CompatibleParts } from './parts.js';

/**
 * Interfaces of other products, for scripts that people already have. They search and show as the API
 * does: the same roles, audit rows and rotations. Sessions are not taken here, tokens and passwords are.
 */
export function compatibleRoutes(
  which: RecoveryServiceSettings['compatible'],
  parts: CompatibleParts,
  origin: () => string,
): RouteModule {
  return (server, context) => {
    if (which.includes('adminservice')) adminServiceRoutes(server, context, parts, origin);
    if (which.includes('mbam')) mbamRoutes(server, context, parts);
  };
}

/** A problem in the words of the interface that was asked; null: it was none of them. */
export function compatibleProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  problem: RecoveryProblem,
): FastifyReply | null {
  switch (request.routeOptions.config.source ?? 'Recovery API') {
    case 'AdminService':
      return sendODataError(reply, problem);
    case 'MBAM':
      return sendFault(reply, problem);
    case 'Helpdesk':
    case 'Self-Service Portal':
    case 'Recovery API':
      return null;
  }
}
