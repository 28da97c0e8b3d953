import { z } from 'zod';
import type { OtherManager } from '../../protocol/vocabulary.js';
import { route, type ApiRoute } from './route.js';
import { guid, limit, shortText, time } from './schemas.js';

/** Machines of an incident that is proposed here; the command takes longer lists. */
const MOST_MACHINES = 10_000;
/** So many names of the longest kind, `DOMAIN\\NAME` of 15 and 64 characters, with their quotes. */
const INCIDENT_BYTES = 1024 * 1024;

const auditLine = z.object({
  sequence: z.string(),
  atMs: time,
  source: z.string(),
  result: z.enum(['Successful', 'Failed']),
  helpdeskUser: z.string(),
  endUser: z.string(),
  machine: z.string(),
  keyType: z.string(),
  keyId: z.string(),
  reason: z.string(),
  ticket: z.string(),
  detail: z.string(),
});
const coverage = z.object({
  atMs: time,
  denominator: z.object({ machines: z.int(), imported: z.boolean() }),
  lines: z.array(
    z.object({ id: z.string(), label: z.string(), machines: z.int(), examples: z.array(z.string()) }),
  ),
  unlisted: z.int().describe('Clients that are in no line because the import does not name them'),
  managers: z
    .object({ MBAM: z.int(), GROUP_POLICY: z.int(), INTUNE: z.int() } satisfies Record<
      OtherManager,
      z.ZodType
    >)
    .describe('Of the conflicts, how many each has'),
});
const incident = z.object({
  incidentId: z.string(),
  title: z.string(),
  state: z.enum(['PROPOSED', 'OPEN', 'ENDED']),
  proposedBy: z.string(),
  confirmedBy: z.string().nullable(),
  machines: z.int(),
  openedAtMs: time.nullable(),
  endsAtMs: time.nullable(),
});
const account = z.object({
  name: z.string(),
  roles: z.array(z.string()),
  disabled: z.boolean(),
  lockedUntilMs: time.nullable(),
  createdAtMs: time,
  lastSignInAtMs: time.nullable(),
});
const incidentId = z.strictObject({ incidentId: guid });

/** Reports. */
export const reportRoutes: readonly ApiRoute[] = [
  route({
    ...{ method: 'GET', path: '/reports/audit', id: 'auditReport', tag: 'reports', access: 'audit.report' },
    summary: 'Recovery audit report',
    description: 'Who asked for which key, with what result; the newest first. It holds no key.',
    params: null,
    query: z.strictObject({
      user: shortText.optional(),
      userType: z.enum(['helpdesk', 'end-user']).optional(),
      result: z.enum(['Successful', 'Failed']).optional(),
      keyType: shortText.optional(),
      fromMs: z.coerce.number().int().min(0).optional(),
      toMs: z.coerce.number().int().min(0).optional(),
      before: z
        .string()
        .regex(/^\d{1,18}$/)
        .optional(),
      limit,
    }),
    body: null,
    answer: z.object({ lines: z.array(auditLine), more: z.boolean() }),
    run: ({ context, query }) => context.services.reports.audit(query),
  }),
  route({
    ...{
      method: 'GET',
      path: '/reports/coverage',
      id: 'coverageReport',
      tag: 'reports',
      access: 'coverage.report',
    },
    summary: 'Coverage',
    description: 'How many of all machines can be recovered, and why the others cannot.',
    ...{ params: null, query: null, body: null, answer: coverage },
    run: ({ context }) => context.services.reports.coverage(),
  }),
];

/** Incidents and accounts. */
export const peopleRoutes: readonly ApiRoute[] = [
  route({
    ...{ method: 'GET', path: '/incidents', id: 'listIncidents', tag: 'people', access: 'incident.list' },
    summary: 'Incidents',
    description: 'The newest first.',
    ...{ params: null, query: null, body: null, answer: z.object({ incidents: z.array(incident) }) },
    run: async ({ context }) => ({ incidents: await context.services.incidents.list() }),
  }),
  route({
    ...{ method: 'POST', path: '/incidents', id: 'proposeIncident', tag: 'people', access: 'incident.open' },
    summary: 'Propose an incident',
    description:
      'Another person confirms it; then limits are lifted for the machines, until it ends by itself.',
    params: null,
    query: null,
    body: z.strictObject({
      title: shortText.min(1),
      machines: z.array(shortText).min(1).max(MOST_MACHINES),
      hours: z.int().min(1).max(168).default(8),
    }),
    answer: incident,
    bodyBytes: INCIDENT_BYTES,
    run: ({ context, caller, body }) => context.services.incidents.propose(caller, body),
  }),
  ...(['confirm', 'end'] as const).map((step) =>
    route({
      method: 'POST' as const,
      path: `/incidents/{incidentId}/${step}`,
      id: `${step}Incident`,
      tag: 'people' as const,
      access: 'incident.open' as const,
      summary: step === 'confirm' ? 'Confirm an incident' : 'End an incident',
      description: step === 'confirm' ? 'By somebody else than proposed it.' : 'Before its time.',
      params: incidentId,
      query: null,
      body: null,
      answer: incident,
      run: ({ context, caller, params }) => context.services.incidents[step](caller, params.incidentId),
    }),
  ),
  route({
    ...{ method: 'GET', path: '/people', id: 'listAccounts', tag: 'people', access: 'people.list' },
    summary: 'Local accounts',
    description: 'With their roles. Accounts of the provider are not known here.',
    ...{ params: null, query: null, body: null, answer: z.object({ accounts: z.array(account) }) },
    run: async ({ context }) => ({ accounts: await context.services.people.list() }),
  }),
  route({
    ...{
      method: 'POST',
      path: '/people/disable',
      id: 'disableAccount',
      tag: 'people',
      access: 'people.disable',
    },
    summary: 'Switch a local account off or on',
    description: 'Its sessions end. Nobody does it to themselves.',
    params: null,
    query: null,
    body: z.strictObject({ name: shortText.min(1), disabled: z.boolean() }),
    answer: z.undefined(),
    run: ({ context, caller, body }) => context.services.people.setDisabled(caller, body.name, body.disabled),
  }),
];
