import type { Guid } from '../../protocol/guid.js';
import { policiesFor } from '../../store/policies-for.js';
import type { CoverageClient, CoverageFacts, CoverageVolume } from '../../store/policy-store.js';
import type { PolicyRow } from '../../store/site-store.js';
import type { CoverageDevice } from './definitions.js';

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
  const volumes = new Map<Guid, CoverageVolume[]>();
  for (const volume of facts.volumes) {
    const of = volumes.get(volume.clientId);
    if (of === undefined) volumes.set(volume.clientId, [volume]);
    else of.push(volume);
  }
  const takes = new Map<string, boolean>();
  const escrows = ({ tag }: CoverageClient): boolean => {
    let known = takes.get(tag);
    if (known === undefined) {
      known = policiesFor(policies, { tag }).some((policy) => policy.mode !== 'OBSERVE');
      takes.set(tag, known);
    }
    return known;
  };
  const device = (name: string, domain: string, client: CoverageClient | null): CoverageDevice => ({
    ...{ name, domain, client },
    volumes: client === null ? [] : (volumes.get(client.clientId) ?? []),
    escrows: client !== null && escrows(client),
  });
  if (facts.devices.length === 0) {
    const devices = facts.clients.map((client) => device(client.machineName, client.domain, client));
    return { devices, imported: false, unlisted: 0 };
  }
  const find = finder(facts.clients);
  const listed = new Set<Guid>();
  const devices = facts.devices.map((row) => {
    const found = find(row);
    for (const one of found) listed.add(one.clientId);
    return device(row.machineName, row.domain, found.length === 0 ? null : found.reduce(fresher));
  });
  const unlisted = facts.clients.filter((client) => !listed.has(client.clientId)).length;
  return { devices, imported: true, unlisted };
}

/** Clients of a device: by hardware id where both name one, else by domain and name; by name alone without domain. */
function finder(
  clients: readonly CoverageClient[],
): (row: CoverageFacts['devices'][number]) => readonly CoverageClient[] {
  const group = (keyOf: (client: CoverageClient) => string): Map<string, CoverageClient[]> => {
    const groups = new Map<string, CoverageClient[]>();
    for (const client of clients) {
      const key = keyOf(client);
      if (key === '') continue;
      const of = groups.get(key);
      if (of === undefined) groups.set(key, [client]);
      else of.push(client);
    }
    return groups;
  };
  const byHardware = group((client) => client.hardwareId.toLowerCase());
  const byName = group((client) => nameKey(client.domain, client.machineName));
  const byBareName = group((client) => client.machineName.toLowerCase());
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
