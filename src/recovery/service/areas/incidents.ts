import { MpeError } from '../../../ops/errors.js';
import { parseGuid, type Guid } from '../../../protocol/guid.js';
import type { IncidentRow } from '../../../store/disclosure-store.js';
import {
  confirmIncident,
  endIncident,
  incidentState,
  proposeIncident,
  type Actor,
} from '../../incident/incident.js';
import type { Caller, IncidentLine, RecoveryServices } from '../../services.js';
import type { ServicesContext } from '../services-context.js';

const LISTED = 100;
/** Machines whose keys are rotated in an hour after an incident that was proposed here. */
const ROTATIONS_PER_HOUR = 60;

/** Incidents: proposed by one person, confirmed by another; they end by themselves. */
export function incidentServices(context: ServicesContext): RecoveryServices['incidents'] {
  const { store, clock } = context;
  const incidents = { ...context.disclosure, store };
  const line = (row: IncidentRow): IncidentLine => lineOf(row, clock.now());
  return {
    list: async () => (await store.disclosure.readIncidents(LISTED)).map(line),
    propose: async (caller, { title, machines, hours }) => {
      const proposal = {
        ...{ title, lastsMinutes: hours * 60, rotationsPerHour: ROTATIONS_PER_HOUR },
        machines: await clientsOf(store, machines),
      };
      return line(await proposeIncident(incidents, actorOf(caller), proposal));
    },
    confirm: async (caller, incidentId) =>
      line((await confirmIncident(incidents, actorOf(caller), incidentId)).incident),
    end: async (caller, incidentId) => line(await endIncident(incidents, actorOf(caller), incidentId)),
  };
}

const actorOf = ({ person, source }: Caller): Actor => ({ person, source });

/** Machines by client id or by a name that one machine alone has. @throws MpeError VALUE_INVALID */
async function clientsOf(store: ServicesContext['store'], machines: readonly string[]): Promise<Guid[]> {
  const found: Guid[] = [];
  for (const machine of new Set(machines)) {
    if (/^[{]?[0-9a-f]{8}-/i.test(machine)) {
      found.push(parseGuid(machine));
      continue;
    }
    const [one, ...more] = await store.disclosure.findMachines(machine);
    if (one === undefined || more.length > 0) {
      const why =
        one === undefined
          ? 'no machine has this name'
          : 'several machines have this name: give the client id';
      throw new MpeError('VALUE_INVALID', `${machine.slice(0, 64)}: ${why}`);
    }
    found.push(one);
  }
  return found;
}

/** An incident as lists show it. */
export function lineOf(row: IncidentRow, nowMs: number): IncidentLine {
  return {
    incidentId: row.incidentId,
    title: row.title,
    state: incidentState(row, nowMs),
    proposedBy: row.proposedBy,
    confirmedBy: row.confirmedBy,
    machines: row.machines.length,
    openedAtMs: row.confirmedAtMs,
    endsAtMs: row.endsAtMs,
  };
}
