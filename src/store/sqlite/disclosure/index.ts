import type { DisclosureStore } from '../../disclosure-store.js';
import type { Connection } from '../connection.js';
import { retryBusy } from '../retry-busy.js';
import {
  confirmIncident,
  endIncident,
  inIncident,
  openIncidents,
  proposeIncident,
  readIncident,
  readIncidents,
} from './incidents.js';
import { currentKeys, findMachines } from './machines.js';
import {
  auditAfter,
  auditHead,
  findAudit,
  readSink,
  saveSink,
  searchAudit,
  wasShownTo,
} from './read-audit.js';
import { readKey, readOwnerAuths } from './read-secrets.js';
import { writeAudit } from './write-audit.js';

/** Disclosure, audit and incidents in SQLite. */
export function sqliteDisclosure(c: Connection): DisclosureStore {
  return {
    readKey: (keyId) => retryBusy('reading a key', () => readKey(c, keyId)),
    readOwnerAuths: (clientId) =>
      retryBusy('reading TPM owner authorizations', () => readOwnerAuths(c, clientId)),
    findMachines: (name) => retryBusy('looking for a machine', () => findMachines(c, name)),
    wasShownTo: (actor, keyId, volumeId) =>
      retryBusy('reading exposures', () => wasShownTo(c, actor, keyId, volumeId)),
    currentKeys: (clientIds) => retryBusy('reading current keys', () => currentKeys(c, clientIds)),
    writeAudit: (write) => retryBusy('writing the audit', () => writeAudit(c, write), write.withinMs),
    findAudit: (requestId) => retryBusy('reading the audit', () => findAudit(c, requestId)),
    auditHead: () => retryBusy('reading the audit', () => auditHead(c)),
    auditAfter: (sequence, limit) => retryBusy('reading the audit', () => auditAfter(c, sequence, limit)),
    searchAudit: (filter, limit) => retryBusy('reading the audit', () => searchAudit(c, filter, limit)),
    readSink: (sinkId) => retryBusy('reading the place of a sink', () => readSink(c, sinkId)),
    saveSink: (sinkId, sequence, atMs) =>
      retryBusy('keeping the place of a sink', () => saveSink(c, sinkId, sequence, atMs)),
    proposeIncident: (incident, audit) =>
      retryBusy('opening an incident', () => proposeIncident(c, incident, audit), audit.withinMs),
    confirmIncident: (incidentId, confirmation, audit) =>
      retryBusy(
        'confirming an incident',
        () => confirmIncident(c, incidentId, confirmation, audit),
        audit.withinMs,
      ),
    endIncident: (incidentId, end, audit) =>
      retryBusy('ending an incident', () => endIncident(c, incidentId, end, audit), audit.withinMs),
    readIncident: (incidentId) => retryBusy('reading an incident', () => readIncident(c, incidentId)),
    readIncidents: (limit) => retryBusy('reading incidents', () => readIncidents(c, limit)),
    openIncidents: (atMs) => retryBusy('reading incidents', () => openIncidents(c, atMs)),
    inIncident: (clientIds, atMs) => retryBusy('reading incidents', () => inIncident(c, clientIds, atMs)),
  };
}
