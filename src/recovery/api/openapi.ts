import { z } from 'zod';
import { VERSION } from '../../ops/version.js';
import { RECOVERY_PROBLEMS } from '../service/problems.js';
import { API_TAGS, type ApiRoute } from './route.js';

type Json = Readonly<Record<string, unknown>>;

const PROBLEM = { $ref: '#/components/responses/Problem' };

/** The OpenAPI 3.1 document of the routes: made from what they check, so that it cannot differ. */
export function openApiDocument(routes: readonly ApiRoute[]): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const path = `/api/v1${route.path}`;
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'mpe recovery API',
      version: VERSION,
      description: 'Find BitLocker recovery keys and show them: audited, and each shown key is rotated.',
      license: { name: 'Unlicensed', identifier: 'LicenseRef-Unlicensed' },
    },
    servers: [{ url: '/', description: 'This service' }],
    tags: Object.entries(API_TAGS).map(([name, description]) => ({ name, description })),
    security: [{ session: [], csrf: [] }, { accessToken: [] }],
    paths,
    components: {
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: '__Host-mpe-session', description: 'Of a sign-in' },
        csrf: {
          type: 'apiKey',
          in: 'header',
          name: 'x-csrf-token',
          description: 'With a session, for every request that is no GET: `csrf` of GET /api/v1/session',
        },
        accessToken: {
          type: 'http',
          scheme: 'bearer',
          description: 'Of the OpenID provider, for this audience',
        },
      },
      schemas: { Problem: problemSchema() },
      responses: {
        Problem: {
          description: 'A problem (RFC 9457): what is wrong and what to do',
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
    },
  };
}

function operationOf(route: ApiRoute): Json {
  const parameters = [...parametersOf(route.params, 'path'), ...parametersOf(route.query, 'query')];
  const isEmpty = route.answer instanceof z.ZodUndefined;
  return {
    operationId: route.id,
    tags: [route.tag],
    summary: route.summary,
    description: `${route.description}\n\nDemands \`${route.access}\`.`,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === null
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: schemaOf(route.body, 'input') } },
          },
        }),
    responses: isEmpty
      ? { '204': { description: 'Done' }, ...PROBLEMS }
      : {
          '200': {
            description: 'Done',
            content: { 'application/json': { schema: schemaOf(route.answer, 'output') } },
          },
          ...PROBLEMS,
        },
  };
}

const PROBLEMS = Object.fromEntries(
  ['400', '401', '403', '404', '409', '429', '500', '503'].map((status) => [status, PROBLEM]),
);

function parametersOf(schema: z.ZodObject | null, where: 'path' | 'query'): Json[] {
  if (schema === null) return [];
  const { properties = {}, required = [] } = schemaOf(schema, 'input') as {
    readonly properties?: Record<string, Json>;
    readonly required?: readonly string[];
  };
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    schema: property,
  }));
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const json = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json;
  return Object.fromEntries(Object.entries(json).filter(([name]) => name !== '$schema'));
}

function problemSchema(): Json {
  return {
    type: 'object',
    required: ['type', 'title', 'status', 'detail', 'code'],
    properties: {
      type: { type: 'string' },
      title: { type: 'string' },
      status: { type: 'integer' },
      detail: { type: 'string' },
      code: { type: 'string', enum: Object.keys(RECOVERY_PROBLEMS) },
      reason: { type: 'string', description: 'Why a key is not shown, or a sign-in was refused' },
    },
  };
}
