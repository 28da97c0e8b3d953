import type { PolicyStore } from '../../policy-store.js';
import type { Connection } from '../connection.js';
import { run } from '../run.js';
import { begunSince } from './begun-since.js';
import { setClientTag } from './client-tag.js';
import { coverage } from './coverage.js';
import { importDevices } from './devices.js';
import { managementPoints, recordManagementPoints } from './management-points.js';
import { migrationCandidates } from './migration-candidates.js';
import { readPolicyEvents } from './policy-events.js';
import { ringCounts } from './ring-counts.js';
import { savePolicy } from './write-policy.js';

/** Runs work that writes, or refuses it where the database is open to read only. */
type Write = <T>(doing: string, work: () => Promise<T>) => Promise<T>;

/** Policies and what stands on them. */
export function policyStore(c: Connection, write: Write): PolicyStore {
  return {
    save: (policy, event) => write('saving a policy', () => savePolicy(c, policy, event)),
    events: (policyId, limit) =>
      run("reading a policy's history", () => readPolicyEvents(c, policyId, limit)),
    ringCounts: () => run('counting rings', () => ringCounts(c)),
    migrationCandidates: (tag, options) =>
      run('looking for keys to migrate', () => migrationCandidates(c, tag, options)),
    begunSince: (requestedBy, sinceMs) =>
      run('counting rotations', () => begunSince(c, requestedBy, sinceMs)),
    setClientTag: (clientId, tag) => write('tagging a client', () => setClientTag(c, clientId, tag)),
    recordManagementPoints: (points, atMs) =>
      write('noting management points', () => recordManagementPoints(c, points, atMs)),
    managementPoints: () => run('reading management points', () => managementPoints(c)),
    importDevices: (rows, options) => write('importing devices', () => importDevices(c, rows, options)),
    coverage: (nowMs) => run('reading coverage', () => coverage(c, nowMs)),
  };
}
