import { z } from 'zod';
import { RecoveryProblem } from '../service/problems.js';
import { route, type ApiRoute } from './route.js';
import { flagText, guid, limit, list, rotationLine, shortText, time } from './schemas.js';

const HOUR_MS = 3_600_000;
const id = z.string();

const pending = z.object({
  clientId: id,
  kid: z.string(),
  machineName: z.string(),
  domain: z.string(),
  hardwareId: z.string(),
  firstAskedAtMs: time,
  lastAskedAtMs: time,
  warnings: z.array(z.string()),
});
const point = z.object({
  id: z.string(),
  channel: z.enum(['HTTPS', 'ENHANCED_HTTP', 'HTTP']),
  address: z.string(),
  firstSeenAtMs: time,
  lastSeenAtMs: time,
  service: z.boolean(),
  detail: z.string(),
});
const pendingParams = z.strictObject({ clientId: guid, kid: z.string().regex(/^[A-Za-z0-9_-]{43}$/) });
const byRequest = z.strictObject({ requestId: guid });

/** Rotations. */
export const rotationRoutes: readonly ApiRoute[] = [
  route({
    ...{ method: 'GET', path: '/rotations', id: 'listRotations', tag: 'rotations', access: 'rotation.list' },
    summary: 'How rotations stand',
    description:
      'Open ones by deadline, closed ones the newest first. States are worked out from what machines sent.',
    params: null,
    query: z.strictObject({
      keyId: guid.optional(),
      machine: shortText.optional(),
      open: flagText.optional(),
      overdue: flagText.optional(),
      limit,
    }),
    body: null,
    answer: list('rotations', rotationLine),
    run: async ({ context, query }) => ({ rotations: await context.services.rotations.list(query) }),
  }),
  route({
    ...{
      method: 'GET',
      path: '/rotations/{requestId}',
      id: 'watchRotation',
      tag: 'rotations',
      access: 'rotation.watch',
    },
    summary: 'How one rotation stands',
    description:
      'End users see those of their own machines, helpdesk users those of keys that they were shown.',
    ...{ params: byRequest, query: null, body: null, answer: rotationLine },
    run: async ({ context, caller, params }) => {
      const line = await context.services.rotations.watch(caller, params.requestId);
      if (line === null) throw new RecoveryProblem('NOT_FOUND', 'There is no such rotation for you to see.');
      return line;
    },
  }),
  route({
    ...{
      method: 'POST',
      path: '/rotations',
      id: 'requestRotations',
      tag: 'rotations',
      access: 'rotation.request',
    },
    summary: 'Ask for rotations',
    description:
      'Of a volume, of a machine, or of a list of machines, so many an hour. One of volumeId, clientId and clientIds.',
    ...{ params: null, query: null },
    body: z.strictObject({
      volumeId: guid.optional(),
      clientId: guid.optional(),
      clientIds: z.array(guid).min(1).max(1000).optional(),
      perHour: z.int().min(1).max(100_000).default(60),
      deadlineHours: z.int().min(1).max(8760).default(24),
    }),
    answer: z.object({ requested: z.int() }),
    run: async ({ context, caller, body }) => {
      const { volumeId, clientId, clientIds, perHour, deadlineHours } = body;
      const given = [
        ...(volumeId === undefined ? [] : [{ volumeId }]),
        ...(clientId === undefined ? [] : [{ clientId }]),
        ...(clientIds === undefined ? [] : [{ clientIds, perHour }]),
      ];
      const [target] = given;
      if (target === undefined || given.length > 1)
        throw new RecoveryProblem('VALUE_INVALID', 'The body names one of volumeId, clientId and clientIds.');
      return context.services.rotations.request(caller, target, deadlineHours * HOUR_MS);
    },
  }),
  route({
    ...{
      method: 'POST',
      path: '/rotations/{requestId}/abandon',
      id: 'abandonRotation',
      tag: 'rotations',
      access: 'rotation.abandon',
    },
    summary: 'Give a rotation up',
    description: 'Machines are not told any more, and the key stays exposed.',
    ...{
      params: byRequest,
      query: null,
      body: z.strictObject({ reason: shortText.min(1) }),
      answer: z.undefined(),
    },
    run: ({ context, caller, params, body }) =>
      context.services.rotations.abandon(caller, params.requestId, body.reason),
  }),
];

/** Registrations and gateways. */
export const clientRoutes: readonly ApiRoute[] = [
  route({
    ...{
      method: 'GET',
      path: '/management-points',
      id: 'listManagementPoints',
      tag: 'policies',
      access: 'management-point.list',
    },
    summary: 'Gateways that registered themselves',
    description: 'With their channel, and when they were last seen.',
    ...{ params: null, query: null, body: null, answer: list('managementPoints', point) },
    run: async ({ context }) => ({ managementPoints: await context.services.clients.managementPoints() }),
  }),
  route({
    ...{
      method: 'GET',
      path: '/clients/pending',
      id: 'listPendingClients',
      tag: 'clients',
      access: 'client.list',
    },
    summary: 'Registrations that wait',
    description: 'Those that wait longest first. Names and hardware ids are hints, no identity.',
    ...{ params: null, query: z.strictObject({ limit }), body: null, answer: list('clients', pending) },
    run: async ({ context, query }) => ({ clients: await context.services.clients.pending(query.limit) }),
  }),
  route({
    ...{
      method: 'POST',
      path: '/clients/{clientId}/keys/{kid}/approve',
      id: 'approveClient',
      tag: 'clients',
      access: 'client.decide',
    },
    summary: 'Register what waits',
    description: 'A new client with a tag, or a new key of a known one.',
    ...{
      params: pendingParams,
      query: null,
      body: z.strictObject({ tag: z.string().max(64).default('') }),
      answer: z.undefined(),
    },
    run: ({ context, caller, params, body }) =>
      context.services.clients.approve(caller, params.clientId, params.kid, body.tag),
  }),
  route({
    ...{
      method: 'POST',
      path: '/clients/{clientId}/keys/{kid}/reject',
      id: 'rejectClient',
      tag: 'clients',
      access: 'client.decide',
    },
    summary: 'Drop what waits',
    description: 'The machine may ask again.',
    ...{ params: pendingParams, query: null, body: null, answer: z.undefined() },
    run: ({ context, caller, params }) =>
      context.services.clients.reject(caller, params.clientId, params.kid),
  }),
];
