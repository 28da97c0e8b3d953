import { isMpeError } from '../../../ops/errors.js';
import { redactText } from '../../../ops/redact.js';
import { newGuid, parseGuid, type Guid } from '../../../protocol/guid.js';
import { recordEvent } from '../../audit/record.js';
import { disclose, logUnavailable, reasonListOf } from '../../disclosure/disclose.js';
import { reasonsOf } from '../../disclosure/reasons.js';
import type { Disclosure, DisclosureRefusal, DisclosureTarget } from '../../disclosure/types.js';
import { accountsOf } from '../../search/accounts-of.js';
import { searchKeys, searchOwnKeys, type SearchContext } from '../../search/search-keys.js';
import type { Caller, KeyRequest, RecoveryServices } from '../../services.js';
import type { ServicesContext } from '../services-context.js';

/** Machines that self-service lists. */
const MOST_MACHINES = 50;

const KINDS: Readonly<Record<KeyRequest['kind'], DisclosureTarget['kind']>> = {
  'recovery-password': 'RECOVERY_PASSWORD',
  'key-package': 'KEY_PACKAGE',
  'tpm-password-hash': 'TPM_OWNER_AUTH',
};

/** Searching and showing keys. */
export function keyServices(context: ServicesContext): RecoveryServices['keys'] {
  const { store, disclosure } = context;
  const search: SearchContext = { search: store.search, audit: disclosure };
  return {
    search: (caller, query, endUser) => searchKeys(search, caller, query, endUser),
    searchOwn: (caller, digits) => searchOwnKeys(search, caller, digits),
    disclose: (caller, request) => ask(context, caller, request, 'helpdesk'),
    discloseOwn: (caller, request) => askOwn(context, search, caller, request),
    ownMachines: async (caller) => {
      const found = await store.search.machinesOf(accountsOf(caller.person.name), MOST_MACHINES);
      return found.map(({ reportedAtMs, ...machine }) => ({ ...machine, lastReportAtMs: reportedAtMs }));
    },
    reasons: (source, kind) =>
      reasonsOf(
        reasonListOf({
          way: source === 'Self-Service Portal' ? 'own' : 'helpdesk',
          target: kind === 'tpm-password-hash' ? { kind: 'TPM_OWNER_AUTH', machine: '' } : WITHOUT_ID,
        }),
      ),
  };
}

const WITHOUT_ID = { kind: 'RECOVERY_PASSWORD', keyId: '' as Guid } as const;

async function ask(
  { disclosure }: ServicesContext,
  caller: Caller,
  request: KeyRequest,
  way: 'helpdesk' | 'own',
): Promise<Disclosure> {
  const target = targetOf(request);
  if (typeof target === 'string') return refuse(disclosure, caller, request, 'REQUEST_INVALID', target);
  return disclose(disclosure, {
    disclosureId: newGuid(),
    person: caller.person,
    source: caller.source,
    way,
    target,
    endUser: request.endUser ?? null,
    reason: request.reason,
    ticket: request.ticket ?? '',
    oneValue: request.oneValue ?? false,
  });
}

/** Eight digits are enough where they name one key of the caller's machines, else all 32 are demanded. */
async function askOwn(
  context: ServicesContext,
  search: SearchContext,
  caller: Caller,
  request: KeyRequest,
): Promise<Disclosure> {
  const digits = (request.keyId ?? '').replaceAll(/[^0-9a-fA-F]/g, '');
  if (digits.length === 32 || request.kind === 'tpm-password-hash')
    return ask(context, caller, request, 'own');
  const found = await searchOwnKeys(search, caller, request.keyId ?? '', true);
  if (found.found === 'refused') {
    return refuse(context.disclosure, caller, request, 'REQUEST_INVALID', found.detail);
  }
  const ids = [...new Set(found.keys.map((key) => key.keyId))];
  const [only] = ids;
  if (ids.length > 1) {
    const detail = 'several of your keys begin with these digits: type all 32';
    return refuse(context.disclosure, caller, request, 'AMBIGUOUS', detail);
  }
  if (only === undefined) {
    const detail = 'no machine that you signed in to locally sent a key with this ID; your helpdesk can help';
    // Its row was written by the search.
    return { outcome: 'refused', refusal: 'NOT_OWN_MACHINE', detail, auditSequence: null };
  }
  return ask(context, caller, { ...request, keyId: only }, 'own');
}

/** What is asked for; a text that says what is wrong with it. */
function targetOf(request: KeyRequest): DisclosureTarget | string {
  const kind = KINDS[request.kind];
  if (kind === 'TPM_OWNER_AUTH') {
    const machine = request.machine?.trim() ?? '';
    return machine === '' ? 'name the machine' : { kind, machine: guidOr(machine) };
  }
  const keyId = guidOr(request.keyId?.trim() ?? '');
  if (!isGuid(keyId))
    return 'the key ID has 32 digits (0-9, A-F): search by the first eight for the whole one';
  return { kind, keyId, ...(request.volumeId === undefined ? {} : { volumeId: request.volumeId }) };
}

function guidOr(text: string): string {
  try {
    return parseGuid(text);
  } catch (error) {
    if (isMpeError(error, 'VALUE_INVALID')) return text;
    throw error;
  }
}

const isGuid = (text: string): text is Guid => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);

/** A refusal before anything was looked up, with its row. */
async function refuse(
  disclosure: ServicesContext['disclosure'],
  caller: Caller,
  request: KeyRequest,
  refusal: DisclosureRefusal,
  detail: string,
): Promise<Disclosure> {
  const user = request.endUser;
  const own = caller.source === 'Self-Service Portal';
  const disclosureId = newGuid();
  try {
    const auditSequence = await recordEvent(
      disclosure,
      {
        requestId: disclosureId,
        source: caller.source,
        person: caller.person.name,
        helpdeskUser: caller.person.name,
        endUser: own ? caller.person.name : user === undefined ? '' : `${user.domain}\\${user.account}`,
        machine: request.machine ?? '',
        keyType: request.kind === 'tpm-password-hash' ? 'TPM Password Hash' : 'Recovery Key Password',
        keyId: redactText(request.keyId ?? '').slice(0, 64),
        reason: request.reason.slice(0, 256),
        ticket: (request.ticket ?? '').slice(0, 256),
        detail: `${refusal}: ${detail}`,
      },
      'Failed',
    );
    return { outcome: 'refused', refusal, detail, auditSequence };
  } catch (error) {
    if (!isMpeError(error, 'AUDIT_UNAVAILABLE')) throw error;
    logUnavailable(disclosure, { source: caller.source, disclosureId }, error);
    return { outcome: 'refused', refusal: 'AUDIT_UNAVAILABLE', detail: error.message, auditSequence: null };
  }
}
