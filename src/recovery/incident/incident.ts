/**
 * Incidents: when many machines ask for their recovery key at once, two people lift the limits of
 * disclosure for a list of machines.
 *
 *   PROPOSED ──another person confirms──▶ OPEN ──its time is over, or somebody ends it──▶ ENDED
 *
 * With the confirmation every key of these machines counts as shown, and its rotation is asked for: it
 * begins when the incident is to end, so many machines an hour. Nobody has to remember it, and no process
 * has to be alive at the end.
 */
import { MpeError } from '../../ops/errors.js';
import { redactText } from '../../ops/redact.js';
import { newGuid, type Guid } from '../../protocol/guid.js';
import type { AuditSource, IncidentRow } from '../../store/disclosure-store.js';
import { auditText, personKey } from '../../store/disclosure-store.js';
import type { SiteStore } from '../../store/site-store.js';
import {
  auditEntry,
  recordBy,
  recordEvent,
  WRITE_WITHIN_MS,
  type AuditContext,
  type AuditFacts,
} from '../audit/record.js';
import { may, type Person } from '../roles.js';
import { rotateIncident } from './rotate-incident.js';

/** What incidents work with. */
export interface IncidentContext extends AuditContext {
  readonly store: Pick<SiteStore, 'disclosure' | 'rotation'>;
  readonly rotationDeadlineMs: number;
}

/** Who acts, and through what. */
export interface Actor {
  readonly person: Person;
  readonly source: AuditSource;
}

/** What is proposed. */
export interface IncidentProposal {
  readonly title: string;
  readonly machines: readonly Guid[];
  readonly lastsMinutes: number;
  readonly rotationsPerHour: number;
}

export type IncidentState = 'PROPOSED' | 'OPEN' | 'ENDED';

/** Machines of one incident at most. */
export const MOST_MACHINES = 100_000;
/** A week. */
export const MOST_MINUTES = 10_080;
/** A proposal that nobody confirms in a day is over. */
const PROPOSAL_LASTS_MS = 86_400_000;

/** What an incident is at a moment. */
export function incidentState(incident: IncidentRow, atMs: number): IncidentState {
  if (incident.endedAtMs !== null) return 'ENDED';
  if (incident.endsAtMs === null)
    return atMs >= incident.proposedAtMs + PROPOSAL_LASTS_MS ? 'ENDED' : 'PROPOSED';
  return atMs >= incident.endsAtMs ? 'ENDED' : 'OPEN';
}

/**
 * Proposes an incident. Nothing is lifted until somebody else confirms it.
 *
 * @throws MpeError VALUE_INVALID, AUDIT_UNAVAILABLE
 */
export async function proposeIncident(
  context: IncidentContext,
  actor: Actor,
  proposal: IncidentProposal,
): Promise<IncidentRow> {
  const machines = [...new Set(proposal.machines)].sort();
  const title = auditText(redactText(proposal.title.trim()));
  check(title !== '' && title.length <= 200, 'an incident has a title of 1 to 200 characters');
  check(machines.length > 0, 'an incident names the machines whose limits it lifts');
  check(machines.length <= MOST_MACHINES, `an incident has ${MOST_MACHINES} machines at most`);
  check(
    inRange(proposal.lastsMinutes, MOST_MINUTES),
    `an incident lasts 1 minute to ${MOST_MINUTES / 1440} days`,
  );
  check(inRange(proposal.rotationsPerHour, 100_000), 'rotations have a pace of 1 to 100000 machines an hour');
  const facts = factsOf(actor, `proposed: ${title}`);
  await allowed(context, actor, facts);
  const atMs = context.clock.now();
  const incident: IncidentRow = {
    ...{ incidentId: newGuid(), title, lastsMinutes: proposal.lastsMinutes, machines },
    ...{
      rotationsPerHour: proposal.rotationsPerHour,
      proposedBy: personKey(actor.person.name),
      proposedAtMs: atMs,
    },
    ...{ confirmedBy: null, confirmedAtMs: null, endsAtMs: null, endedBy: null, endedAtMs: null },
  };
  const row = { ...facts, detail: detailOf(incident) };
  await recordBy(context, row.requestId, () =>
    context.store.disclosure.proposeIncident(incident, write(context, row, atMs)),
  );
  return incident;
}

/**
 * Confirms an incident that somebody else proposed, and asks for the rotations.
 *
 * @throws MpeError VALUE_INVALID where there is nothing to confirm for this person; AUDIT_UNAVAILABLE
 */
export async function confirmIncident(
  context: IncidentContext,
  actor: Actor,
  incidentId: Guid,
): Promise<{ readonly incident: IncidentRow; readonly rotations: number }> {
  const incident = await need(context, incidentId);
  const facts = { ...factsOf(actor, `confirmed: ${incident.title}`), detail: detailOf(incident) };
  await allowed(context, actor, facts);
  const atMs = context.clock.now();
  const by = personKey(actor.person.name);
  if (incidentState(incident, atMs) === 'PROPOSED') {
    if (incident.proposedBy === by) {
      await recordEvent(context, { ...facts, detail: `SAME_PERSON: ${facts.detail}` }, 'Failed');
      throw new MpeError(
        'VALUE_INVALID',
        'an incident is confirmed by somebody else than the one who proposed it',
      );
    }
    const confirmation = { by, atMs, endsAtMs: atMs + incident.lastsMinutes * 60_000 };
    await recordBy(context, facts.requestId, () =>
      context.store.disclosure.confirmIncident(incidentId, confirmation, write(context, facts, atMs)),
    );
  }
  // Again where this process died after the confirmation: what is asked for already stays as it is.
  const open = await need(context, incidentId);
  if (incidentState(open, atMs) !== 'OPEN')
    throw new MpeError('VALUE_INVALID', `incident ${incidentId} is over or was ended; propose a new one`);
  return { incident: open, rotations: await rotateIncident(context, open) };
}

/**
 * Ends an incident before its time. Its rotations stay as they were asked for.
 *
 * @throws MpeError VALUE_INVALID, AUDIT_UNAVAILABLE
 */
export async function endIncident(
  context: IncidentContext,
  actor: Actor,
  incidentId: Guid,
): Promise<IncidentRow> {
  const incident = await need(context, incidentId);
  const facts = { ...factsOf(actor, `ended: ${incident.title}`), detail: detailOf(incident) };
  await allowed(context, actor, facts);
  const atMs = context.clock.now();
  const end = { by: personKey(actor.person.name), atMs };
  const written = await recordBy(context, facts.requestId, () =>
    context.store.disclosure.endIncident(incidentId, end, write(context, facts, atMs)),
  );
  if (written === null) throw new MpeError('VALUE_INVALID', `incident ${incidentId} is over already`);
  return need(context, incidentId);
}

/** An incident. @throws MpeError VALUE_INVALID where there is none */
export async function need(
  context: { readonly store: Pick<SiteStore, 'disclosure'> },
  incidentId: Guid,
): Promise<IncidentRow> {
  const incident = await context.store.disclosure.readIncident(incidentId);
  if (incident !== null) return incident;
  throw new MpeError('VALUE_INVALID', `there is no incident ${incidentId}`);
}

/** The row of something that concerns an incident and no key. */
export function factsOf({ person, source }: Actor, what: string): AuditFacts {
  return {
    ...{
      requestId: newGuid(),
      source,
      person: person.name,
      helpdeskUser: person.name,
      endUser: '',
      machine: '',
    },
    ...{ keyType: '', keyId: '', reason: `Incident ${what}`, ticket: '', detail: '' },
  };
}

async function allowed(context: IncidentContext, { person }: Actor, facts: AuditFacts): Promise<void> {
  if (may(person, 'incident.open', 'other')) return;
  await recordEvent(context, { ...facts, detail: 'NOT_ALLOWED' }, 'Failed');
  throw new MpeError('VALUE_INVALID', 'your roles do not let you open, confirm or end an incident');
}

function write(context: IncidentContext, facts: AuditFacts, atMs: number) {
  const entry = auditEntry(facts, 'Successful', atMs);
  return { entry, exposures: [], limit: null, withinMs: context.writeWithinMs ?? WRITE_WITHIN_MS };
}

/** An incident in a row. */
export const detailOf = ({ incidentId, machines, lastsMinutes, rotationsPerHour }: IncidentRow): string =>
  `incident ${incidentId}, ${machines.length} machines, ${lastsMinutes} minutes, then ${rotationsPerHour} machines an hour`;

const inRange = (value: number, most: number): boolean =>
  Number.isInteger(value) && value >= 1 && value <= most;

function check(holds: boolean, rule: string): void {
  if (!holds) throw new MpeError('VALUE_INVALID', rule);
}
