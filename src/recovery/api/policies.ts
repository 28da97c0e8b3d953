import { z } from 'zod';
import { POLICY_MODES } from '../../protocol/vocabulary.js';
import { POLICY_EVENTS } from '../../store/policy-store.js';
import { settingsSchema } from '../policy/settings.js';
import { RecoveryProblem } from '../service/problems.js';
import { route, type ApiRoute } from './route.js';
import { guid, list, time, timeOrNull } from './schemas.js';

const policy = z.object({
  policyId: z.string(),
  state: z.enum(['DRAFT', 'DEPLOYED', 'RETIRED']),
  revision: z.int().describe('One more with each change; a change names the one that it is made of'),
  name: z.string(),
  mode: z.enum(POLICY_MODES),
  targetTag: z.string().nullable().describe('null: every client, or those of the rings'),
  storePackages: z.boolean(),
  removableDrives: z.boolean(),
  tpmOwnerAuth: z.boolean(),
  checkIntervalMinutes: z.int(),
  mbamMigration: z.boolean(),
  rotateBesideOthers: z.boolean(),
  rings: z.array(
    z.object({
      position: z.int(),
      tag: z.string(),
      state: z.enum(['CLOSED', 'OPEN', 'PAUSED']),
      opens: z.enum(['BY_HAND', 'AFTER_PREVIOUS']),
      failureLimit: z.int().describe('Thousandths of the machines heard from'),
      soakMinutes: z.int(),
      rotationsPerHour: z.int(),
      openedAtMs: timeOrNull,
      pausedAtMs: timeOrNull,
      pauseReason: z.string(),
    }),
  ),
  createdAtMs: time,
  deployedAtMs: timeOrNull,
  retiredAtMs: timeOrNull,
  warnings: z.array(z.string()).describe('What is allowed and still deserves a word'),
});
const shown = policy.extend({
  history: z
    .array(
      z.object({
        revision: z.int(),
        event: z.enum(POLICY_EVENTS),
        detail: z.string(),
        atMs: time,
        by: z.string(),
      }),
    )
    .describe('The newest first, at most 50'),
});
const settings = settingsSchema.partial();
const revision = z.int().min(1);
const createBody = settings.extend({ name: settingsSchema.shape.name });
const setBody = settings.extend({ revision: revision.describe('The one that was read') });
const revisionBody = z.strictObject({
  revision: revision.optional().describe('Only where the policy is at it'),
});
const byPolicy = z.strictObject({ policyId: guid });
const change = { method: 'POST', tag: 'policies', access: 'policy.change' } as const;

/** Policies: reading, making, changing, deploying and retiring them. */
export const policyRoutes: readonly ApiRoute[] = [
  route({
    ...{ method: 'GET', path: '/policies', id: 'listPolicies', tag: 'policies', access: 'policy.read' },
    summary: 'Policies',
    description: 'Those that are not retired.',
    ...{ params: null, query: null, body: null, answer: list('policies', policy) },
    run: async ({ context }) => ({ policies: await context.services.policies.list() }),
  }),
  route({
    ...{ ...change, path: '/policies', id: 'createPolicy' },
    summary: 'Make a policy',
    description:
      'A draft: it applies to nobody until it is deployed. What is not said is as `mpe policy create` makes it.',
    ...{ params: null, query: null, body: createBody, answer: policy },
    run: ({ context, caller, body }) => context.services.policies.create(caller, body),
  }),
  route({
    ...{ method: 'GET', path: '/policies/{policyId}', id: 'showPolicy' },
    ...{ tag: 'policies', access: 'policy.read' },
    summary: 'One policy and its history',
    description: 'Retired ones too.',
    ...{ params: byPolicy, query: null, body: null, answer: shown },
    run: async ({ context, params }) => found(await context.services.policies.show(params.policyId)),
  }),
  route({
    ...{ ...change, path: '/policies/{policyId}/set', id: 'setPolicy' },
    summary: 'Change settings of a policy',
    description:
      'What is not said stays; rings are given all or not at all, and keep their state by their tag. Each client learns of it at its next check-in. `CONFLICT` where the policy is at another revision.',
    ...{ params: byPolicy, query: null, body: setBody, answer: policy },
    run: async ({ context, caller, params, body: { revision: read, ...said } }) =>
      found(await context.services.policies.change(caller, params.policyId, read, said)),
  }),
  route({
    ...{ ...change, path: '/policies/{policyId}/deploy', id: 'deployPolicy' },
    summary: 'Deploy a policy',
    description:
      'Lets it apply: it turns the recovery service on for its clients. A policy that is deployed stays as it is.',
    ...{ params: byPolicy, query: null, body: revisionBody, answer: policy },
    run: async ({ context, caller, params, body }) =>
      found(await context.services.policies.deploy(caller, params.policyId, body.revision ?? null)),
  }),
  route({
    ...{ ...change, path: '/policies/{policyId}/retire', id: 'retirePolicy' },
    summary: 'Retire a policy',
    description: 'Ends it for good; its clients keep what other policies give them.',
    ...{ params: byPolicy, query: null, body: revisionBody, answer: policy },
    run: async ({ context, caller, params, body }) =>
      found(await context.services.policies.retire(caller, params.policyId, body.revision ?? null)),
  }),
];

function found<T>(answer: T | null): T {
  if (answer !== null) return answer;
  throw new RecoveryProblem('NOT_FOUND', 'There is no such policy; GET /api/v1/policies lists them.');
}
