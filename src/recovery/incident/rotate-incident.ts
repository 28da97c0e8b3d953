import { createHash } from 'node:crypto';
import { guidFromBytes, type Guid } from '../../protocol/guid.js';
import type { IncidentRow } from '../../store/disclosure-store.js';
import type { RotationDemand, SiteStore } from '../../store/site-store.js';

const HOUR_MS = 3_600_000;
/** Machines whose keys are read at once, and demands of one transaction. */
const MACHINES = 200;
const DEMANDS = 100;

/**
 * Asks for the rotation of every key that the machines of an incident had when it was confirmed and still have: from its planned end on,
 * `rotationsPerHour` machines an hour. Ids follow from the incident and the key, so that asking again
 * asks for nothing twice. A key that came after the confirmation was not shown by it: it may be the very one
 * that replaced such a key.
 *
 * @returns how many keys; those of the machines it had come to where `signal` aborts
 */
export async function rotateIncident(
  {
    store,
    rotationDeadlineMs,
  }: { readonly store: Pick<SiteStore, 'disclosure' | 'rotation'>; readonly rotationDeadlineMs: number },
  incident: IncidentRow,
  signal?: AbortSignal,
): Promise<number> {
  const { incidentId, machines, confirmedAtMs, confirmedBy, endsAtMs } = incident;
  if (confirmedAtMs === null || endsAtMs === null) return 0;
  const places = new Map(machines.map((clientId, n) => [clientId, n]));
  let asked = 0;
  for (let from = 0; from < machines.length && signal?.aborted !== true; from += MACHINES) {
    const found = await store.disclosure.currentKeys(machines.slice(from, from + MACHINES));
    const keys = found.filter(({ provenAtMs }) => provenAtMs <= confirmedAtMs);
    const demands = keys.map(({ clientId, volumeId, keyId }): RotationDemand => {
      const turnMs = rotationTurnMs(incident, places.get(clientId) ?? 0);
      return {
        requestId: derived('request', incidentId, volumeId, keyId),
        exposureId: derived('exposure', incidentId, volumeId, keyId),
        ...{ volumeId, keyId, origin: 'INCIDENT', requestedBy: confirmedBy ?? '', atMs: confirmedAtMs },
        ...{
          notBeforeMs: turnMs,
          deadlineMs: turnMs + rotationDeadlineMs,
          evenAbsent: false,
        },
      };
    });
    for (let first = 0; first < demands.length; first += DEMANDS)
      await store.rotation.open(demands.slice(first, first + DEMANDS));
    asked += demands.length;
  }
  return asked;
}

/** When the rotations of a machine begin: the planned end of the incident and its turn behind it. */
export function rotationTurnMs(incident: IncidentRow, place: number): number {
  return (incident.endsAtMs ?? 0) + Math.floor((place / incident.rotationsPerHour) * HOUR_MS);
}

/** A GUID of version 8 (RFC 9562): made by a rule of its own. */
function derived(what: string, incidentId: Guid, volumeId: Guid, keyId: Guid): Guid {
  const id = createHash('sha256')
    .update(`mpe incident ${what}\0${incidentId}/${volumeId}/${keyId}`, 'utf8')
    .digest()
    .subarray(0, 16);
  id[6] = ((id[6] ?? 0) & 0x0f) | 0x80;
  id[8] = ((id[8] ?? 0) & 0x3f) | 0x80;
  return guidFromBytes(id);
}
