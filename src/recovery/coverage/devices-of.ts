import type { Guid } from '../../protocol/guid.js';
import { policiesFor } from '../../store/policies-for.js';
import type { CoverageClient, CoverageFacts } from '../../store/policy-store.js';
import type { PolicyRow } from '../../store/site-store.js';
import { atOnce } from '../breather.js';
import type { CoverageDevice } from './definitions.js';

/** Items of a piece of work, some milliseconds. */
const PIECE = 2000;

/** The devices of a site, and what is not among them. */
export interface Devices {
  readonly devices: readonly CoverageDevice[];
  /** Whether an inventory was imported. */
  readonly imported: boolean;
  /** Clients that no device of the inventory leads to. */
  readonly unlisted: number;
}

/** How a machine is looked up by name: as devices are keyed. */
export const nameKey = (domain: string, name: string): string => `${domain}\\${name}`.toLowerCase();

/** When a client was last heard from; a registration counts least. */
const freshness = (client: CoverageClient): readonly [number, number] => [
  client.checkedInAtMs ?? 0,
  client.registeredAtMs,
];

function fresher(a: CoverageClient, b: CoverageClient): CoverageClient {
  const [one, other] = [freshness(a), freshness(b)];
  return one[0] > other[0] || (one[0] === other[0] && one[1] > other[1]) ? a : b;
}

/** Brings the inventory and the clients together. */
export function devicesOf(facts: CoverageFacts, policies: readonly PolicyRow[]): Devices {
  return atOnce(findDevices(facts, policies));
}

/** As {@link devicesOf}, in small pieces. */
export function* findDevices(facts: CoverageFacts, policies: readonly PolicyRow[]): Generator<void, Devices> {
  const volumes = yield* grouped(facts.volumes, (volume) => volume.clientId);
  const takes = new Map<string, boolean>();
  const escrows = ({ tag }: CoverageClient): boolean => {
    let known = takes.get(tag);
    if (known === undefined) {
      known = policiesFor(policies, { tag }).some((policy) => policy.mode !== 'OBSERVE');
      takes.set(tag, known);
    }
    return known;
  };
  // Written out: tens of thousands of objects made by spreading others are slow to make and to read.
  const device = (name: string, domain: string, client: CoverageClient | null): CoverageDevice => ({
    name,
    domain,
    client,
    volumes: client === null ? [] : (volumes.get(client.clientId) ?? []),
    escrows: client !== null && escrows(client),
  });
  if (facts.devices.length === 0) {
    const devices: CoverageDevice[] = [];
    for (const client of facts.clients) {
      devices.push(device(client.machineName, client.domain, client));
      if (devices.length % PIECE === 0) yield;
    }
    return { devices, imported: false, unlisted: 0 };
  }
  const find = yield* finder(facts.clients);
  const listed = new Set<Guid>();
  const devices: CoverageDevice[] = [];
  for (const row of facts.devices) {
    const found = find(row);
    for (const one of found) listed.add(one.clientId);
    devices.push(device(row.machineName, row.domain, found.length === 0 ? null : found.reduce(fresher)));
    if (devices.length % PIECE === 0) yield;
  }
  const unlisted = facts.clients.filter((client) => !listed.has(client.clientId)).length;
  return { devices, imported: true, unlisted };
}

/** Clients of a device: by hardware id where both name one, else by domain and name; by name alone without domain. */
function* finder(
  clients: readonly CoverageClient[],
): Generator<void, (row: CoverageFacts['devices'][number]) => readonly CoverageClient[]> {
  const byHardware = yield* grouped(clients, (client) => client.hardwareId.toLowerCase());
  const byName = yield* grouped(clients, (client) => nameKey(client.domain, client.machineName));
  const byBareName = yield* grouped(clients, (client) => client.machineName.toLowerCase());
  return (row) => {
    const hardware = row.hardwareId === '' ? [] : (byHardware.get(row.hardwareId.toLowerCase()) ?? []);
    if (hardware.length > 0) return hardware;
    return (
      (row.domain === ''
        ? byBareName.get(row.machineName.toLowerCase())
        : byName.get(nameKey(row.domain, row.machineName))) ?? []
    );
  };
}

/** Items by a key; those whose key is empty are left out. */
function* grouped<K extends string, T>(
  items: readonly T[],
  keyOf: (item: T) => K,
): Generator<void, Map<K, T[]>> {
  const groups = new Map<K, T[]>();
  let done = 0;
  for (const item of items) {
    done += 1;
    if (done % PIECE === 0) yield;
    const key = keyOf(item);
    if (key === '') continue;
    const of = groups.get(key);
    if (of === undefined) groups.set(key, [item]);
    else of.push(item);
  }
  return groups;
}
