import { z } from 'zod';
import { route, type ApiRoute } from './route.js';
import { list, shortText } from './schemas.js';

const ring = z.object({
  ringId: z.string().describe('Id of the policy, a dot, and the position of the ring'),
  name: z.string(),
  order: z.int(),
  tag: z.string(),
  machines: z.int(),
  reached: z.int(),
  failed: z.int(),
  failureLimit: z.number().describe('Per cent'),
  state: z.enum(['WAITING', 'RUNNING', 'PAUSED', 'DONE']),
  detail: z.string(),
});
const byRing = z.strictObject({ ringId: z.string().max(64) });
const change = { method: 'POST', tag: 'policies', access: 'policy.change' } as const;

/** Rings: how far they are, opening, pausing and resuming them. */
export const ringRoutes: readonly ApiRoute[] = [
  route({
    ...{ method: 'GET', path: '/rings', id: 'listRings', tag: 'policies', access: 'policy.read' },
    summary: 'Rings and how far they are',
    description: 'Rings of all policies in their order.',
    ...{ params: null, query: null, body: null, answer: list('rings', ring) },
    run: async ({ context }) => ({ rings: await context.services.policies.rings() }),
  }),
  route({
    ...{ ...change, path: '/rings/{ringId}/open', id: 'openRing' },
    summary: 'Open a ring',
    description: 'Of a deployed policy. Rings open in their order, and none behind one that is paused.',
    ...{ params: byRing, query: null, body: null, answer: ring },
    run: ({ context, caller, params }) => context.services.policies.setRing(caller, params.ringId, 'OPEN'),
  }),
  route({
    ...{ ...change, path: '/rings/{ringId}/pause', id: 'pauseRing' },
    summary: 'Pause a ring',
    description: 'What was begun in it goes on; nothing new is begun in it or behind it while it is paused.',
    ...{ params: byRing, query: null, answer: ring },
    body: z.strictObject({
      reason: shortText.min(1).optional().describe('Why, for whoever looks at it'),
    }),
    run: ({ context, caller, params, body }) =>
      context.services.policies.setRing(caller, params.ringId, 'PAUSE', body.reason),
  }),
  route({
    ...{ ...change, path: '/rings/{ringId}/resume', id: 'resumeRing' },
    summary: 'Resume a ring',
    description: 'It goes on; its failures are counted from now.',
    ...{ params: byRing, query: null, body: null, answer: ring },
    run: ({ context, caller, params }) => context.services.policies.setRing(caller, params.ringId, 'RESUME'),
  }),
];
