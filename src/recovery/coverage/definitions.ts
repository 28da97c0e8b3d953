/**
 * What each line of the coverage report counts: one definition each, and nothing else decides.
 *
 *  A *device* is a machine of the imported inventory, or a registered client where nothing was
 *  imported. Its *client* is the one that the inventory's hardware id or name leads to; of several the
 *  newest to report. Names are hints: they decide what is counted, never who may see a key.
 *
 *  A *protected volume* is an OS or fixed volume that its client reports as protected (or locked, or
 *  with recovery keys and no word on protection). Removable volumes are left out: they are counted
 *  where they are at home, if anywhere.
 *
 *  recoverable            has a protected volume, and for each of them the site can read a present key
 *                         that this client sent
 *  never-contacted        no client, or a client that has neither checked in nor sent a key
 *  encrypted-without-key  has a protected volume without such a key
 *  not-encrypted          was heard from and has no protected volume
 *      Each device is in exactly one of these four. It may be in any of the following besides:
 *  cannot-escrow          encrypted-without-key, and the client is blocked, no policy takes its keys, or
 *                         it reports an error
 *  conflict               the client reports another manager (MBAM, group policy, Intune)
 *  exposed                a present key was shown to somebody
 *  overdue-rotation       a rotation of a present key is past its deadline
 *  damaged                no stored copy of a present key opens
 *  cloned                 two machines use the client's identity
 */
import type { CoverageClient, CoverageVolume } from '../../store/policy-store.js';

/** A device with what is known of it. */
export interface CoverageDevice {
  readonly name: string;
  readonly domain: string;
  readonly client: CoverageClient | null;
  readonly volumes: readonly CoverageVolume[];
  /** Whether a policy takes the client's keys. */
  readonly escrows: boolean;
}

/** A line of the report. */
export const COVERAGE_IDS = [
  'recoverable',
  'never-contacted',
  'encrypted-without-key',
  'not-encrypted',
  'cannot-escrow',
  'conflict',
  'exposed',
  'overdue-rotation',
  'damaged',
  'cloned',
] as const;
export type CoverageId = (typeof COVERAGE_IDS)[number];

/** Whether a volume needs a key to be recovered. */
export function isProtected(volume: CoverageVolume): boolean {
  if (volume.volumeType !== 'OS' && volume.volumeType !== 'FIXED') return false;
  switch (volume.protection) {
    case 'ON':
    case 'UNKNOWN':
      return true;
    case 'OFF':
      return false;
    case 'UNREPORTED':
      return volume.keys > 0;
  }
}

const wasHeard = ({ client, volumes }: CoverageDevice): boolean =>
  client !== null && (client.checkedInAtMs !== null || volumes.length > 0);

const lacksKey = (device: CoverageDevice): boolean =>
  device.volumes.some((volume) => isProtected(volume) && volume.readable === 0);

const hasProtected = (device: CoverageDevice): boolean => device.volumes.some(isProtected);

/** One pure definition a line; see the top of this file. */
export const COVERAGE: Readonly<Record<CoverageId, (device: CoverageDevice) => boolean>> = {
  recoverable: (device) => wasHeard(device) && hasProtected(device) && !lacksKey(device),
  'never-contacted': (device) => !wasHeard(device),
  'encrypted-without-key': (device) => wasHeard(device) && lacksKey(device),
  'not-encrypted': (device) => wasHeard(device) && !hasProtected(device),
  'cannot-escrow': (device) =>
    wasHeard(device) &&
    lacksKey(device) &&
    (device.client?.state !== 'ACTIVE' || !device.escrows || device.client.hasError),
  conflict: ({ client }) => client !== null && client.otherManagers.length > 0,
  exposed: ({ volumes }) => volumes.some((volume) => volume.exposed > 0),
  'overdue-rotation': ({ volumes }) => volumes.some((volume) => volume.overdue > 0),
  damaged: ({ volumes }) => volumes.some((volume) => volume.damaged > 0),
  cloned: ({ client }) => client?.cloned === true,
};

/** The text of each line. */
export const COVERAGE_LABELS: Readonly<Record<CoverageId, string>> = {
  recoverable: 'recoverable',
  'never-contacted': 'never contacted',
  'encrypted-without-key': 'encrypted without key',
  'not-encrypted': 'not encrypted',
  'cannot-escrow': 'cannot escrow',
  conflict: 'conflict with another manager',
  exposed: 'exposed',
  'overdue-rotation': 'overdue rotation',
  damaged: 'damaged',
  cloned: 'cloned',
};
