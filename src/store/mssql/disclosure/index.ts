import type { DisclosureStore } from '../../disclosure-store.js';
import type { Connection } from '../connection.js';
import { run } from '../run.js';
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

/**
 * Disclosure, audit and incidents on SQL Server.
 *
 * @param write runs work that writes, or refuses it where the store was opened to read
 */
export function mssqlDisclosure(
  c: Connection,
  write: <T>(doing: string, work: () => Promise<T>) => Promise<T>,
): DisclosureStore {
  return {
    readKey: (keyId) => run('reading a key', () => readKey(c, keyId)),
    readOwnerAuths: (clientId) => run('reading TPM owner authorizations', () => readOwnerAuths(c, clientId)),
    findMachines: (name) => run('looking for a machine', () => findMachines(c, name)),
    wasShownTo: (actor, keyId, volumeId) =>
      run('reading exposures', () => wasShownTo(c, actor, keyId, volumeId)),
    currentKeys: (clientIds) => run('reading current keys', () => currentKeys(c, clientIds)),
    writeAudit: (audit) => write('writing the audit', () => writeAudit(c, audit)),
    findAudit: (requestId) => run('reading the audit', () => findAudit(c, requestId)),
    auditHead: () => run('reading the audit', () => auditHead(c)),
    auditAfter: (sequence, limit) => run('reading the audit', () => auditAfter(c, sequence, limit)),
    searchAudit: (filter, limit) => run('reading the audit', () => searchAudit(c, filter, limit)),
    readSink: (sinkId) => run('reading the place of a sink', () => readSink(c, sinkId)),
    saveSink: (sinkId, sequence, atMs) =>
      write('keeping the place of a sink', () => saveSink(c, sinkId, sequence, atMs)),
    proposeIncident: (incident, audit) =>
      write('opening an incident', () => proposeIncident(c, incident, audit)),
    confirmIncident: (incidentId, confirmation, audit) =>
      write('confirming an incident', () => confirmIncident(c, incidentId, confirmation, audit)),
    endIncident: (incidentId, end, audit) =>
      write('ending an incident', () => endIncident(c, incidentId, end, audit)),
    readIncident: (incidentId) => run('reading an incident', () => readIncident(c, incidentId)),
    readIncidents: (limit) => run('reading incidents', () => readIncidents(c, limit)),
    openIncidents: (atMs) => run('reading incidents', () => openIncidents(c, atMs)),
    inIncident: (clientIds, atMs) => run('reading incidents', () => inIncident(c, clientIds, atMs)),
  };
}
