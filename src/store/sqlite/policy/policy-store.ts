import type { Guid } from '../../../protocol/guid.js';
import type { CoverageClient, CoverageFacts, CoverageVolume, PolicyStore } from '../../policy-store.js';
import type { Connection } from '../connection.js';
import { retryBusy } from '../retry-busy.js';
import { begunSince } from './begun-since.js';
import { setClientTag } from './client-tag.js';
import { coveragePage, type CoveragePage } from './coverage.js';
import { importDevices, readDevices } from './devices.js';
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
    ringCounts: () => retryBusy('counting rings', () => ringCounts(c)),
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

async function coverage(c: Connection, nowMs: number): Promise<CoverageFacts> {
  const devices = await retryBusy('reading devices', () => readDevices(c));
  const clients: CoverageClient[] = [];
  const volumes: CoverageVolume[] = [];
  for (let after: Guid | '' | null = ''; after !== null;) {
    const from: Guid | '' = after;
    const page: CoveragePage = await retryBusy('reading coverage', () => coveragePage(c, from, nowMs));
    for (const client of page.clients) clients.push(client);
    for (const volume of page.volumes) volumes.push(volume);
    after = page.next;
    // Others get their turn at the event loop.
    await new Promise((resume) => setImmediate(resume));
  }
  return { devices, clients, volumes };
}
