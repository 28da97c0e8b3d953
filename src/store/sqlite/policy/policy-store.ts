import type { PolicyStore } from '../../policy-store.js';
import type { Connection } from '../connection.js';
import { retryBusy } from '../retry-busy.js';
import { begunSince } from './begun-since.js';
import { setClientTag } from './client-tag.js';
import { coverage } from './coverage.js';
import { importDevices } from './devices.js';
import { managementPoints, recordManagementPoints } from './management-points.js';
import { migrationCandidates } from './migration-candidates.js';
import { readPolicyEvents } from './policy-events.js';
import { ringCounts } from './ring-counts.js';
import { savePolicy } from './write-policy.js';

/** Policies and what stands on them, on one connection. */
export function policyStore(c: Connection): PolicyStore {
  return {
    save: (policy, event) => retryBusy('saving a policy', () => savePolicy(c, policy, event)),
    events: (policyId, limit) =>
      retryBusy("reading a policy's history", () => readPolicyEvents(c, policyId, limit)),
    ringCounts: () => ringCounts(c),
    migrationCandidates: (tag, options) =>
      retryBusy('looking for keys to migrate', () => migrationCandidates(c, tag, options)),
    begunSince: (requestedBy, sinceMs) =>
      retryBusy('counting rotations', () => begunSince(c, requestedBy, sinceMs)),
    setClientTag: (clientId, tag) => retryBusy('tagging a client', () => setClientTag(c, clientId, tag)),
    recordManagementPoints: (points, atMs) =>
      retryBusy('noting management points', () => recordManagementPoints(c, points, atMs)),
    managementPoints: () => retryBusy('reading management points', () => managementPoints(c)),
    importDevices: (rows, options) => retryBusy('importing devices', () => importDevices(c, rows, options)),
    coverage: (nowMs) => coverage(c, nowMs),
  };
}
