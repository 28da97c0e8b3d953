/**
 * Shows keys: the one operation behind both portals, every API and the command line (design §7).
 *
 *   1. authorise: the table of roles, then the proofs of the machines
 *   2. decrypt in memory
 *   3. one transaction: the audit row, the limit, the exposure with the ranks of every client that
 *      proved the key, the rotation request; COMMIT
 *   4. return
 *
 * Invariants
 *  I1  Nothing is returned before the audit row is durable. A crash between any two steps shows nothing,
 *      or leaves a row for a key that nobody saw; never a key without its row.
 *  I2  Every answer has its row, refusals too; without it the answer is AUDIT_UNAVAILABLE.
 *  I3  Who may see a key is decided by proofs alone, see authorise.ts.
 */
import { isMpeError } from '../../ops/errors.js';
import { MBAM_EVENTS } from '../../ops/mbam-events.js';
import type { FingerprintKey } from '../../secrets/fingerprint.js';
import type { AuditKeyType } from '../../store/disclosure-store.js';
import type { SiteStore } from '../../store/site-store.js';
import { auditEntry, record, recordEvent, type AuditContext, type AuditFacts } from '../audit/record.js';
import { authorise, grantFor, isNamed } from './authorise.js';
import { exposuresOf } from './exposures.js';
import { findSecrets } from './find-secrets.js';
import { markBad } from './mark-bad.js';
import { openAll } from './open-all.js';
import type { SecretSource } from './open-generations.js';
import { checkReason, type ReasonList } from './reasons.js';
import { machinesText, shownKeys, withheldKeys } from './shown.js';
import type { Disclosure, DisclosureRefusal, DisclosureRequest } from './types.js';

/** What a disclosure needs. */
export interface DisclosureContext extends AuditContext {
  readonly store: Pick<SiteStore, 'disclosure' | 'markDamaged'>;
  readonly keys: SecretSource;
  /** null where this host does not hold the worker secret. */
  readonly fingerprintKey: FingerprintKey | null;
  /** Keys that one person may be shown in an hour. */
  readonly limits: { readonly helpdeskPerHour: number; readonly ownPerHour: number };
  /** How long a client may take to rotate a key that was shown. */
  readonly rotationDeadlineMs: number;
  /**
   * Rotations of what is shown wait for this long: a printed list of an incident. Absent: none.
   */
  readonly rotationDelayMs?: number;
}

const HOUR_MS = 3_600_000;

const KEY_TYPES: Readonly<Record<DisclosureRequest['target']['kind'], AuditKeyType>> = {
  RECOVERY_PASSWORD: 'Recovery Key Password',
  KEY_PACKAGE: 'Recovery Key Package',
  TPM_OWNER_AUTH: 'TPM Password Hash',
};

/** The list of reasons that a request is held against. */
export function reasonListOf(request: Pick<DisclosureRequest, 'way' | 'target'>): ReasonList {
  if (request.way === 'own') return 'self-service';
  return request.target.kind === 'TPM_OWNER_AUTH' ? 'tpm' : 'drive-unlock';
}

/**
 * Shows the keys that are asked for, or says why not. See the top of this file.
 *
 * @throws MpeError STORE_TRANSIENT, STORE_FAILED where the keys themselves cannot be read; nothing was
 *   shown then
 */
export async function disclose(context: DisclosureContext, request: DisclosureRequest): Promise<Disclosure> {
  try {
    return await attempt(context, request);
  } catch (error) {
    if (!isMpeError(error, 'AUDIT_UNAVAILABLE')) throw error;
    logUnavailable(context, request, error);
    return { outcome: 'refused', refusal: 'AUDIT_UNAVAILABLE', detail: error.message, auditSequence: null };
  }
}

/** No key without its row. A page tells it by itself; what an API answers is logged with its own event id. */
export function logUnavailable(
  { log }: Pick<DisclosureContext, 'log'>,
  { source, disclosureId }: Pick<DisclosureRequest, 'source' | 'disclosureId'>,
  error: unknown,
): void {
  const isPage = source === 'Helpdesk' || source === 'Self-Service Portal';
  log.error(
    {
      ...{ event: 'disclosure.audit_unavailable', source, disclosureId, error },
      ...(isPage ? { mbamEventId: MBAM_EVENTS.WebAppComplianceDbError } : {}),
    },
    'a key was asked for and not shown: its audit row cannot be written',
  );
}

async function attempt(context: DisclosureContext, request: DisclosureRequest): Promise<Disclosure> {
  const facts = factsOf(request);
  const refuse = async (refusal: DisclosureRefusal, detail: string, machine = ''): Promise<Disclosure> => {
    const row = { ...facts, machine, detail: `${refusal}: ${detail}` };
    const auditSequence = await recordEvent(context, row, 'Failed');
    context.log.warn({ event: 'disclosure.refused', refusal, disclosureId: request.disclosureId });
    return { outcome: 'refused', refusal, detail, auditSequence };
  };

  const grant = grantFor(request);
  if (grant === 'no') return refuse('NOT_ALLOWED', 'your roles do not let you ask for this');
  let reason: string;
  try {
    reason = checkReason(reasonListOf(request), request.reason);
  } catch (error) {
    if (isMpeError(error, 'VALUE_INVALID')) return refuse('REASON_INVALID', error.message);
    throw error;
  }
  // Before anything is looked up: without a user nobody learns which key IDs and machines there are.
  if (grant === 'named-user' && !isNamed(request.endUser))
    return refuse('USER_REQUIRED', DETAILS.USER_REQUIRED);
  const found = await findSecrets(context.store.disclosure, request.target);
  if (found.kind === 'none' && grant !== 'own') return refuse(found.refusal, found.detail);
  const candidates = found.kind === 'none' ? [] : found.secrets;
  const authorised = authorise(grant, request, candidates);
  if (!authorised.may) return refuse(authorised.refusal, DETAILS[authorised.refusal]);

  const { open, closed } = await openAll(context, authorised.secrets);
  try {
    const machine = machinesText(authorised.secrets.flatMap(({ holders }) => holders));
    await markBad(context, [...open, ...closed]);
    const [first] = open;
    if (first === undefined) {
      const why = closed.find(({ opened }) => opened.why === 'KEY_VERSION_UNAVAILABLE') ?? closed[0];
      const refusal = why?.opened.why ?? 'NOT_FOUND';
      return await refuse(refusal, `${DETAILS[refusal]} (${why?.opened.detail ?? ''})`, machine);
    }
    // Which of them opens the drive is for a person to try: one alone would be taken for the right one.
    const isOne =
      closed.length === 0 && open.every(({ opened }) => opened.plaintext.equals(first.opened.plaintext));
    if (request.oneValue === true && !isOne) return await refuse('AMBIGUOUS', SEVERAL_VALUES, machine);
    const atMs = context.clock.now();
    const written = await record(context, {
      entry: auditEntry(
        { ...facts, reason, machine, detail: detailOf(open.length, closed.length) },
        'Successful',
        atMs,
      ),
      exposures: exposuresOf(context, request, open, atMs),
      limit: await limitOf(context, request, open, atMs),
    });
    if (written.kind === 'limited')
      return await refuse('LIMIT_REACHED', `${DETAILS.LIMIT_REACHED} (${written.shown} shown)`, machine);
    const keys = shownKeys(request, open, candidates, written.rotations);
    const withheld = withheldKeys(closed, authorised.others);
    return { outcome: 'shown', auditSequence: written.sequence, shownAtMs: atMs, keys, withheld };
  } finally {
    for (const { opened } of open) opened.plaintext.fill(0);
  }
}

/** What every row of a request says. */
function factsOf(request: DisclosureRequest): AuditFacts {
  const { person, target, endUser, way } = request;
  const keyId = target.kind === 'TPM_OWNER_AUTH' ? '' : target.keyId;
  const named = endUser === null ? '' : `${endUser.domain}\\${endUser.account}`;
  return {
    ...{ requestId: request.disclosureId, source: request.source, person: person.name },
    helpdeskUser: person.name,
    // As the original: self-service fills both with who asks, an administrator may leave it open.
    endUser: way === 'own' ? person.name : named,
    machine: target.kind === 'TPM_OWNER_AUTH' ? target.machine : '',
    ...{ keyType: KEY_TYPES[target.kind], keyId, reason: request.reason, ticket: request.ticket, detail: '' },
  };
}

/** The person's limit; null where every machine of a key is in an incident that two people opened. */
async function limitOf(
  { store, limits }: DisclosureContext,
  { way }: DisclosureRequest,
  open: Awaited<ReturnType<typeof openAll>>['open'],
  atMs: number,
): Promise<{ readonly sinceMs: number; readonly most: number } | null> {
  const limit = { sinceMs: atMs - HOUR_MS, most: way === 'own' ? limits.ownPerHour : limits.helpdeskPerHour };
  if (way === 'own') return limit;
  const clientIds = [...new Set(open.flatMap(({ holders }) => holders.map(({ clientId }) => clientId)))];
  if (clientIds.length === 0) return limit;
  const listed = new Set(await store.disclosure.inIncident(clientIds, atMs));
  const lifted = open.every(({ holders }) => holders.some(({ clientId }) => listed.has(clientId)));
  return lifted ? null : limit;
}

function detailOf(open: number, closed: number): string {
  const parts = [
    ...(open > 1 ? [`${open} values shown`] : []),
    ...(closed > 0 ? [`${closed} not readable`] : []),
  ];
  return parts.join(', ');
}

const SEVERAL_VALUES =
  'several passwords are stored for this key ID, and this interface can show one alone: use the portal';

const DETAILS = {
  NOT_FOUND: 'no key with this ID is stored. Compare all digits, and ask for the machine',
  USER_REQUIRED: 'the domain and the account of the user are needed',
  USER_UNRELATED: 'this user never signed in locally to a machine that sent this key',
  NOT_OWN_MACHINE: 'no machine that you signed in to locally sent a key with this ID; your helpdesk can help',
  LIMIT_REACHED:
    'you were shown as many keys in this hour as one person may be. Wait, or have two people open an incident ' +
    '(mpe incident open)',
  KEY_VERSION_UNAVAILABLE:
    'the key is stored, and what opens it is not on this host. Bring the certificate or data key back: mpe certificate status',
  DAMAGED: 'the key is stored, and no copy of it opens; its machines are asked for it at their next check-in',
} as const;
