import { z } from 'zod';
import { VERSION } from '../../ops/version.js';
import { RECOVERY_PROBLEMS } from '../service/problems.js';
import { API_TAGS, type ApiRoute } from './route.js';
import type { DocumentedCall } from './session.js';

type Json = Readonly<Record<string, unknown>>;

const PROBLEM = { $ref: '#/components/responses/Problem' };

/** The OpenAPI 3.1 document of the routes: made from what they check, so that it cannot differ. */
export function openApiDocument(routes: readonly ApiRoute[], calls: readonly DocumentedCall[]): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const call of [...routes.map((one) => ({ ...one, url: `/api/v1${one.path}` })), ...calls])
    paths[call.url] = { ...paths[call.url], [call.method.toLowerCase()]: operationOf(call) };
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

function operationOf(route: DocumentedCall): Json {
  const parameters = [...parametersOf(route.params, 'path'), ...parametersOf(route.query, 'query')];
  const isEmpty = route.answer instanceof z.ZodUndefined;
  return {
    operationId: route.id,
    tags: [route.tag],
    summary: route.summary,
    description: `${route.description}\n\nDemands \`${route.access}\`.`,
    ...(route.access === 'public' ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === null
      ? {}
      : {
          requestBody: {
            // Where nothing has to be said, no body says it.
            required: !route.body.safeParse({}).success,
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
  ['400', '401', '403', '404', '406', '408', '409', '413', '415', '429', '431', '500', '503'].map(
    (status) => [status, PROBLEM],
  ),
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
      waitSeconds: { type: 'integer', description: 'How long the next sign-in has to wait' },
    },
  };
}
