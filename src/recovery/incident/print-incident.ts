import { MpeError } from '../../ops/errors.js';
import { newGuid, type Guid } from '../../protocol/guid.js';
import type { CurrentKey } from '../../store/disclosure-store.js';
import { recordEvent } from '../audit/record.js';
import { disclose, type DisclosureContext } from '../disclosure/disclose.js';
import type { Disclosure } from '../disclosure/types.js';
import { may } from '../roles.js';
import { detailOf, factsOf, incidentState, need, type Actor } from './incident.js';
import { rotationTurnMs } from './rotate-incident.js';

/** A key of the printed list. */
export interface PrintedKey {
  readonly key: CurrentKey;
  readonly answer: Disclosure;
}

const MACHINES = 100;

/**
 * Shows every key that the machines of an open incident have now, one disclosure each: its own audit
 * row, its own exposure. Ends at the first row that cannot be written, and when the incident is over.
 *
 * The rotations wait for the end of the incident, in the turns that were asked for at its confirmation.
 *
 * @throws MpeError VALUE_INVALID where the incident is not open or the person may not print, behind its
 *   audit row
 */
export async function* printIncident(
  context: DisclosureContext,
  actor: Actor,
  incidentId: Guid,
): AsyncGenerator<PrintedKey> {
  const { person, source } = actor;
  const incident = await need(context, incidentId);
  const refuse = async (why: string, message: string): Promise<never> => {
    const facts = factsOf(actor, `printed: ${incident.title}`);
    await recordEvent(context, { ...facts, detail: `${why}: ${detailOf(incident)}` }, 'Failed');
    throw new MpeError('VALUE_INVALID', message);
  };
  if (!may(person, 'incident.print', 'other'))
    await refuse('NOT_ALLOWED', 'your roles do not let you print the keys of an incident');
  for (let from = 0; from < incident.machines.length; from += MACHINES) {
    const keys = await context.store.disclosure.currentKeys(incident.machines.slice(from, from + MACHINES));
    for (const key of keys) {
      const atMs = context.clock.now();
      if (incidentState(await need(context, incidentId), atMs) !== 'OPEN')
        await refuse('NOT_OPEN', `incident ${incidentId} is not open (any more)`);
      const turnMs = rotationTurnMs(incident, incident.machines.indexOf(key.clientId));
      const rotationDelayMs = Math.max(1, turnMs - atMs);
      const { keyId, volumeId } = key;
      const answer = await disclose(
        { ...context, rotationDelayMs },
        {
          ...{ disclosureId: newGuid(), person, source, way: 'helpdesk', endUser: null, ticket: '' },
          ...{
            target: { kind: 'RECOVERY_PASSWORD', keyId, volumeId },
            reason: `Other: incident, ${incident.title}`,
          },
        },
      );
      if (answer.outcome === 'refused' && answer.refusal === 'AUDIT_UNAVAILABLE')
        throw new MpeError('AUDIT_UNAVAILABLE', answer.detail);
      yield { key, answer };
    }
  }
}
