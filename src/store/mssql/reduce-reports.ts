import { PROTECTION_STATES, VOLUME_TYPES } from '../../protocol/vocabulary.js';
import { compareRanks } from '../compare-ranks.js';
import { isForeignClaim } from '../foreign-claim.js';
import type { CommitPlan } from '../site-store.js';
import { distinct, inOrder, type JsonRow } from './json-rows.js';
import { jsonText } from './json-text.js';
import { sqlTime } from './parameters.js';

/** The first of several plans with one place keeps it, unless a later one outranks it. */
function highest<T>(
  plans: readonly CommitPlan[],
  placesOf: (plan: CommitPlan) => readonly (readonly [string, T])[],
): [CommitPlan, T][] {
  const held = new Map<string, [CommitPlan, T]>();
  for (const plan of plans) {
    for (const [place, value] of placesOf(plan)) {
      const standing = held.get(place);
      if (standing !== undefined && compareRanks(plan.candidate.rank, standing[0].candidate.rank) <= 0)
        continue;
      held.set(place, [plan, value]);
    }
  }
  return [...held.values()];
}

const rankColumns = ({ candidate: { clientId, messageId, rank }, atMs }: CommitPlan): JsonRow => ({
  ClientId: clientId,
  Epoch: rank.epoch,
  Sequence: rank.sequence,
  Digest: rank.digest,
  MessageId: messageId,
  ReportedAt: sqlTime(atMs),
});

/** The highest report of each (client, volume). */
export function reportRows(plans: readonly CommitPlan[]): JsonRow[] {
  const held = highest(plans, ({ candidate }) =>
    candidate.volumes.map((volume) => [`${candidate.clientId}/${volume.volumeId}`, volume] as const),
  );
  const rows = held.map(([plan, volume]) => ({
    ...rankColumns(plan),
    VolumeId: volume.volumeId,
    VolumeType: VOLUME_TYPES.indexOf(volume.volumeType),
    DriveLabel: jsonText(volume.driveLabel),
    Protection: PROTECTION_STATES.indexOf(volume.protection),
    KeyIds: [...volume.keyIds].sort(),
  }));
  return inOrder(rows, ['ClientId', 'VolumeId']);
}

/** The highest state of each client, and its users. */
export function stateRows(plans: readonly CommitPlan[]): { states: JsonRow[]; users: JsonRow[] } {
  const held = highest(plans, ({ candidate: { clientId, state } }) =>
    state === null ? [] : [[clientId, state] as const],
  );
  const states = held.map(([plan, state]) => ({
    ...rankColumns(plan),
    MachineName: jsonText(state.machineName),
    Domain: jsonText(state.domain),
    OtherManagers: state.otherManagers,
    LastErrorCode: state.lastError?.code ?? null,
    LastErrorText: state.lastError === null ? null : jsonText(state.lastError.text),
    LastErrorAt: state.lastError === null ? null : sqlTime(state.lastError.atMs),
  }));
  const users = held.flatMap(([plan, state]) => {
    // Two users are one where their bytes are: the collation of the database has no say.
    const byName = new Map(state.users.map((user) => [JSON.stringify([user.domain, user.name]), user]));
    return [...byName.values()].map((user, position) => ({
      ClientId: plan.candidate.clientId,
      Position: position,
      Domain: jsonText(user.domain),
      Name: jsonText(user.name),
    }));
  });
  return { states: inOrder(states, ['ClientId']), users: inOrder(users, ['ClientId', 'Position']) };
}

/** What clients claim about rotation requests; of those that are refused see `isForeignClaim`. */
export function rotationRows(plans: readonly CommitPlan[]): JsonRow[] {
  const rows = plans.flatMap((plan) => {
    const { candidate, atMs, effects } = plan;
    const { clientId, messageId, rank, rotation } = candidate;
    const isForeign = isForeignClaim(plan);
    return rotation === null || !(effects || isForeign)
      ? []
      : [
          {
            ...{
              IsForeign: isForeign ? 1 : 0,
              RequestId: rotation.requestId,
              ClientId: clientId,
              MessageId: messageId,
            },
            ...{ Epoch: rank.epoch, Sequence: rank.sequence, Outcome: rotation.outcome },
            ...{
              ErrorCode: rotation.errorCode,
              ErrorText: rotation.errorText === null ? null : jsonText(rotation.errorText),
            },
            ...{ NewKeyId: rotation.newKeyId, ReportedAt: sqlTime(atMs) },
          },
        ];
  });
  return distinct(rows, ['RequestId', 'ClientId', 'MessageId']);
}

/** Rotation commands that replies carry to a client for the first time in their round. */
export function deliveryRows(plans: readonly CommitPlan[]): JsonRow[] {
  const rows = plans.flatMap(({ candidate: { clientId }, deliveries, atMs }) =>
    (deliveries ?? []).map(({ requestId, round }) => ({
      ...{ RequestId: requestId, ClientId: clientId, Round: round, FirstDeliveredAt: sqlTime(atMs) },
    })),
  );
  return distinct(rows, ['RequestId', 'ClientId', 'Round']);
}
