import { z } from 'zod';
import { RecoveryProblem } from '../service/problems.js';
import type { Disclosure, KeyQuery, SearchAnswer } from '../services.js';
import { route, type ApiRoute } from './route.js';
import { endUser, flagText, guid, keyList, ownMachine, shortText, shown } from './schemas.js';

const searchBody = z.strictObject({
  keyId: shortText.optional().describe('8 to 32 hex digits of a key ID; case, braces and dashes are ignored'),
  machine: shortText.optional().describe('Name of a machine, with or without its domain: EXAMPLE\\PC-0042'),
  user: endUser.optional().describe('A user who signed in locally'),
  endUser: endUser.optional().describe('Whose machines alone are searched; demanded of helpdesk users'),
});

const why = {
  reason: shortText.describe('One of the reasons of GET /keys/reasons, or a text of one’s own'),
  ticket: shortText.optional(),
  endUser: endUser.optional().describe('Demanded of helpdesk users'),
};
const disclosureBody = z.strictObject({
  kind: z.enum(['recovery-password', 'key-package']).default('recovery-password'),
  keyId: shortText.describe('All 32 digits of the key ID'),
  volumeId: guid.optional(),
  ...why,
});
const tpmBody = z.strictObject({ machine: shortText.describe('Client id or name'), ...why });

const ownBody = z.strictObject({
  keyId: shortText.describe('8 or more digits of the key ID; all 32 where eight are ambiguous'),
  reason: shortText,
});

const reasonsQuery = z.strictObject({
  kind: z.enum(['recovery-password', 'key-package', 'tpm-password-hash']).default('recovery-password'),
  own: flagText.optional().describe('Those of POST /own/disclose'),
});

/** Finding and showing keys. */
export const keyRoutes: readonly ApiRoute[] = [
  route({
    ...{ method: 'POST', path: '/keys/search', id: 'searchKeys', tag: 'keys', access: 'key.search' },
    summary: 'Find keys',
    description:
      'By the first digits of a key ID, by machine, or by user: exactly one of them. Answers never hold a key. A POST, so that no name stands in an address.',
    ...{ params: null, query: null, body: searchBody, answer: keyList },
    run: async ({ context, caller, body }) =>
      listOf(await context.services.keys.search(caller, queryOf(body), body.endUser)),
  }),
  route({
    ...{ method: 'POST', path: '/keys/disclose', id: 'discloseKey', tag: 'keys', access: 'key.disclose' },
    summary: 'Show a key',
    description:
      'Writes the audit row, the exposure and the request to rotate, and shows the key then. Refusals are audited as well.',
    ...{ params: null, query: null, body: disclosureBody, answer: shown },
    run: async ({ context, caller, body }) => shownOf(await context.services.keys.disclose(caller, body)),
  }),
  route({
    ...{ method: 'POST', path: '/tpm/disclose', id: 'discloseTpm', tag: 'keys', access: 'tpm.disclose' },
    summary: 'Show a TPM password hash',
    description: 'Of a machine, audited. It never changes: it is not rotated, and never for end users.',
    ...{ params: null, query: null, body: tpmBody, answer: shown },
    run: async ({ context, caller, body }) =>
      shownOf(await context.services.keys.disclose(caller, { kind: 'tpm-password-hash', ...body })),
  }),
  route({
    ...{ method: 'GET', path: '/keys/reasons', id: 'listReasons', tag: 'keys', access: 'signed-in' },
    summary: 'Reasons that are taken',
    description:
      'The published list for what is asked for. Where it ends with Other, a text of one’s own is taken.',
    ...{ params: null, query: reasonsQuery, body: null, answer: z.object({ reasons: z.array(z.string()) }) },
    run: ({ context, caller, query }) =>
      Promise.resolve({
        reasons: context.services.keys.reasons(
          query.own === true ? 'Self-Service Portal' : caller.source,
          query.kind,
        ),
      }),
  }),
  route({
    ...{ method: 'GET', path: '/own/machines', id: 'listOwnMachines', tag: 'own', access: 'own.search' },
    summary: 'One’s own machines',
    description: 'Machines that the caller signed in to locally at least once, as they last reported.',
    ...{ params: null, query: null, body: null, answer: z.object({ machines: z.array(ownMachine) }) },
    run: async ({ context, caller }) => ({ machines: await context.services.keys.ownMachines(caller) }),
  }),
  route({
    ...{ method: 'POST', path: '/own/disclose', id: 'discloseOwnKey', tag: 'own', access: 'own.disclose' },
    summary: 'Show the key of one’s own machine',
    description:
      'As showing a key, of machines that the caller signed in to locally. The reasons are those of self-service: GET /keys/reasons?own=true. Where the service has a notice, the session must have accepted it on the page /self-service.',
    ...{ params: null, query: null, body: ownBody, answer: shown },
    run: async ({ context, caller, session, body }) => {
      // As the pages; who comes with a token has accepted nothing.
      if (context.settings.branding.notice !== null && session?.noticeAccepted !== true)
        throw new RecoveryProblem('NOT_ALLOWED', 'Accept the notice on the page /self-service first.', {
          more: { reason: 'NOTICE_REQUIRED' },
        });
      return shownOf(
        await context.services.keys.discloseOwn(
          { ...caller, source: 'Self-Service Portal' },
          { kind: 'recovery-password', ...body },
        ),
      );
    },
  }),
];

function queryOf({ keyId, machine, user }: z.output<typeof searchBody>): KeyQuery {
  const given = [
    ...(keyId === undefined ? [] : [{ by: 'key-id', digits: keyId } as const]),
    ...(machine === undefined ? [] : [{ by: 'machine', machine } as const]),
    ...(user === undefined ? [] : [{ by: 'user', user } as const]),
  ];
  const [query] = given;
  if (query !== undefined && given.length === 1) return query;
  throw new RecoveryProblem('VALUE_INVALID', 'The body names one of keyId, machine and user.');
}

function listOf(answer: SearchAnswer): unknown {
  if (answer.found === 'keys') return { keys: answer.keys, more: answer.more };
  const code = answer.refusal === 'USER_REQUIRED' ? 'NOT_ALLOWED' : 'VALUE_INVALID';
  throw new RecoveryProblem(code, answer.detail, { more: { reason: answer.refusal } });
}

/** What is shown; a refusal as a problem. */
export function shownOf(answer: Disclosure): Extract<Disclosure, { outcome: 'shown' }> {
  if (answer.outcome === 'shown') return answer;
  const { refusal, detail } = answer;
  const more = { reason: refusal };
  switch (refusal) {
    case 'NOT_FOUND':
      throw new RecoveryProblem('NOT_FOUND', detail, { more });
    case 'REASON_INVALID':
    case 'REQUEST_INVALID':
      throw new RecoveryProblem('VALUE_INVALID', detail, { more });
    case 'AMBIGUOUS':
      throw new RecoveryProblem('CONFLICT', detail, { more });
    case 'LIMIT_REACHED':
      throw new RecoveryProblem('RATE_LIMITED', detail, { more, headers: { 'retry-after': '600' } });
    case 'AUDIT_UNAVAILABLE':
      throw new RecoveryProblem('AUDIT_UNAVAILABLE', detail, { more, headers: { 'retry-after': '60' } });
    case 'NOT_ALLOWED':
      throw new RecoveryProblem('NOT_ALLOWED', detail, { more });
    case 'USER_REQUIRED':
    case 'USER_UNRELATED':
    case 'NOT_OWN_MACHINE':
    case 'NOT_PROVIDED':
    case 'KEY_VERSION_UNAVAILABLE':
    case 'DAMAGED':
      throw new RecoveryProblem('DISCLOSURE_REFUSED', detail, { more });
  }
}
