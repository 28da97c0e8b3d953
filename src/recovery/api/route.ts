import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { RecoveryProblem } from '../service/problems.js';
import type { Access, ServiceContext } from '../service/context.js';
import type { Caller } from '../services.js';
import type { Session } from '../sign-in/session.js';

/** A route of the API: what it takes and answers is checked, and stands in the OpenAPI document. */
export interface ApiRoute {
  readonly method: 'GET' | 'POST';
  /** Below `/api/v1`, parameters as `{name}`. */
  readonly path: string;
  readonly id: string;
  readonly tag: ApiTag;
  readonly access: Access;
  readonly summary: string;
  readonly description: string;
  readonly params: z.ZodObject | null;
  readonly query: z.ZodObject | null;
  readonly body: z.ZodObject | null;
  readonly answer: z.ZodType;
  readonly run: (input: RouteInput) => Promise<unknown>;
  /** Bytes of a body at most, where lists need more than others. */
  readonly bodyBytes?: number;
}

/** Parts of the API. */
export const API_TAGS = {
  keys: 'Finding keys and showing them',
  own: 'One’s own machines',
  rotations: 'How rotations stand, and asking for them',
  policies: 'Policies, rings and gateways',
  clients: 'Registrations that wait',
  reports: 'Audit and coverage',
  people: 'Local accounts and incidents',
  session: 'Signing in and out without an access token',
} as const;
export type ApiTag = keyof typeof API_TAGS;

/** What a route's work is given. */
export interface RouteInput {
  readonly context: ServiceContext;
  readonly caller: Caller;
  /** null: the request came with a token. */
  readonly session: Session | null;
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What is absent is not there: it is never `undefined`. */
type Exact<T> = { [K in keyof T]: Exclude<T[K], undefined> };
type Shape<T extends z.ZodObject | null> = T extends z.ZodObject
  ? Exact<z.output<T>>
  : Readonly<Record<string, never>>;

/** Keeps the types of what a route takes for its work. */
export function route<
  P extends z.ZodObject | null,
  Q extends z.ZodObject | null,
  B extends z.ZodObject | null,
>(
  definition: Omit<ApiRoute, 'run' | 'params' | 'query' | 'body'> & {
    readonly params: P;
    readonly query: Q;
    readonly body: B;
    readonly run: (input: {
      readonly context: ServiceContext;
      readonly caller: Caller;
      readonly session: Session | null;
      readonly params: Shape<P>;
      readonly query: Shape<Q>;
      readonly body: Shape<B>;
    }) => Promise<unknown>;
  },
): ApiRoute {
  return definition as unknown as ApiRoute;
}

/** Adds a route to the server. */
export function addRoute(server: FastifyInstance, context: ServiceContext, api: ApiRoute): void {
  const url = `/api/v1${api.path.replaceAll(/\{(\w+)\}/g, ':$1')}`;
  server.route({
    method: api.method,
    url,
    config: { access: api.access },
    ...(api.bodyBytes === undefined ? {} : { bodyLimit: api.bodyBytes }),
    handler: async (request, reply) => {
      const answer = await api.run({
        context,
        caller: context.callerOf(request),
        session: context.sessionOf(request),
        params: checked(api.params, request.params, 'address'),
        query: checked(api.query, request.query, 'query'),
        body: checked(api.body, bodyOf(request), 'body'),
      });
      return reply
        .code(answer === undefined ? 204 : 200)
        .type('application/json; charset=utf-8')
        .send(answer === undefined ? undefined : JSON.stringify(answer, plain));
    },
  });
}

/** The body without what only guards it. */
function bodyOf(request: FastifyRequest): unknown {
  if (typeof request.body !== 'object' || request.body === null) return request.body ?? {};
  return Object.fromEntries(Object.entries(request.body).filter(([name]) => name !== 'csrf'));
}

/** @throws RecoveryProblem VALUE_INVALID naming the fields, never their values */
function checked(
  schema: z.ZodObject | null,
  given: unknown,
  where: string,
): Readonly<Record<string, unknown>> {
  const parsed = (schema ?? z.strictObject({})).safeParse(given ?? {});
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map(({ path, message }) => {
    const name = path.join('.');
    return name === '' ? message.replaceAll(/"[^"]{65,}"/g, '"…"') : `${name}: ${message}`;
  });
  throw new RecoveryProblem('VALUE_INVALID', `The ${where} is wrong: ${wrong.slice(0, 10).join('; ')}.`);
}

/** 64-bit numbers as text, bytes as base64. */
function plain(this: Record<string, unknown>, name: string, value: unknown): unknown {
  const original = this[name];
  if (typeof original === 'bigint') return original.toString();
  if (original instanceof Uint8Array) return Buffer.from(original).toString('base64');
  return value;
}
