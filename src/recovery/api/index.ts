import type { RouteModule } from '../service/context.js';
import { keyRoutes } from './keys.js';
import { openApiDocument } from './openapi.js';
import { clientRoutes, rotationRoutes } from './operations.js';
import { policyRoutes } from './policies.js';
import { ringRoutes } from './rings.js';
import { peopleRoutes, reportRoutes } from './reports.js';
import { addRoute, type ApiRoute } from './route.js';
import { SESSION_CALLS } from './session.js';

/** Every route of the API. */
export const API_ROUTES: readonly ApiRoute[] = [
  ...keyRoutes,
  ...rotationRoutes,
  ...policyRoutes,
  ...ringRoutes,
  ...clientRoutes,
  ...reportRoutes,
  ...peopleRoutes,
];

/** The recovery API under /api/v1, with its OpenAPI document. */
export const apiRoutes: RouteModule = (server, context) => {
  for (const route of API_ROUTES) addRoute(server, context, route);
  const document = JSON.stringify(openApiDocument(API_ROUTES, SESSION_CALLS));
  server.get('/api/v1/openapi.json', { config: { access: 'public' } }, async (_request, reply) =>
    reply.type('application/json; charset=utf-8').send(document),
  );
};
