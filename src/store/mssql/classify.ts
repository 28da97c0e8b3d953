import type { Guid } from '../../protocol/guid.js';
import { ROTATION_ORIGINS } from '../rotation-store.js';
import type { Classified, CommitCandidate, OpenRotation, Rank } from '../site-store.js';
import { CLASSIFY_BATCH } from './classify-batch.js';
import { bigInteger, bytes, flag, guid, integer, json, time, word } from './columns.js';
import { distinct, hexOf, type JsonRow } from './json-rows.js';
import { outcomeFromRow } from './outcomes.js';
import { rowsOf } from './parameters.js';
import { refusalOfCandidate } from './plan-limits.js';
import type { Session, SqlParameters, SqlRow } from './session.js';

/**
 * Reads what decides over candidates: one round trip and nine statements, however many there are.
 *
 * READ COMMITTED shows each statement what was committed when it ran, so that two facts may be of
 * different moments. Nothing rests on them: `apply` finds out what has changed.
 *
 * @throws MpeError STORE_FAILED where one candidate cannot be sent: the caller asks for the others apart
 */
export async function classify(
  session: Session,
  candidates: readonly CommitCandidate[],
): Promise<Classified[]> {
  if (candidates.length === 0) return [];
  for (const candidate of candidates) {
    const refusal = refusalOfCandidate(candidate);
    if (refusal !== null) throw refusal;
  }
  const facts = new Facts(await session.query(CLASSIFY_BATCH, parameters(candidates)));
  return candidates.map((candidate, n) => facts.of(candidate, n));
}

function parameters(candidates: readonly CommitCandidate[]): SqlParameters {
  const rows = (of: (candidate: CommitCandidate, n: number) => JsonRow[]): JsonRow[] =>
    candidates.flatMap(of);
  return {
    messages: rowsOf(
      rows(({ clientId, messageId, rank }, n) => [
        {
          ...{ N: n, ClientId: clientId, MessageId: messageId },
          ...{ Epoch: rank.epoch, Sequence: rank.sequence },
        },
      ]),
    ),
    secretIds: rowsOf(
      distinct(
        rows(({ secrets }) => secrets.map(({ secretId }) => ({ SecretId: hexOf(secretId) }))),
        ['SecretId'],
      ),
    ),
    volumes: rowsOf(
      distinct(
        rows(({ clientId, volumes }) =>
          volumes.map(({ volumeId }) => ({ ClientId: clientId, VolumeId: volumeId })),
        ),
        ['ClientId', 'VolumeId'],
      ),
    ),
    clients: rowsOf(
      distinct(
        rows(({ clientId }) => [{ ClientId: clientId }]),
        ['ClientId'],
      ),
    ),
    epochs: rowsOf(
      distinct(
        rows(({ clientId, rank }) => [{ ClientId: clientId, Epoch: rank.epoch }]),
        ['ClientId', 'Epoch'],
      ),
    ),
    rotations: rowsOf(
      rows(({ clientId, rotation }, n) =>
        rotation === null ? [] : [{ N: n, ClientId: clientId, RequestId: rotation.requestId }],
      ),
    ),
  };
}

/** The record sets of the batch, by what they are looked up with. */
class Facts {
  readonly #outcomes: ReadonlyMap<string, readonly SqlRow[]>;
  readonly #healthy: ReadonlySet<string>;
  readonly #readable: ReadonlyMap<string, readonly SqlRow[]>;
  readonly #unreadable: ReadonlyMap<string, readonly SqlRow[]>;
  readonly #states: ReadonlyMap<string, readonly SqlRow[]>;
  readonly #epochs: ReadonlyMap<string, readonly SqlRow[]>;
  readonly #twins: ReadonlySet<number>;
  readonly #rotations: ReadonlyMap<string, readonly SqlRow[]>;
  readonly #rotationsKnown: ReadonlySet<number>;

  constructor(sets: readonly SqlRow[][]) {
    const [outcomes, healthy, readable, unreadable, states, epochs, twins, rotations, known] = sets;
    const byClient = (row: SqlRow): string => guid(row, 'ClientId');
    this.#outcomes = grouped(outcomes, (row) => `${guid(row, 'ClientId')}/${guid(row, 'MessageId')}`);
    this.#healthy = new Set((healthy ?? []).map((row) => hexOf(bytes(row, 'SecretId'))));
    this.#readable = grouped(readable, byClient);
    this.#unreadable = grouped(unreadable, byClient);
    this.#states = grouped(states, byClient);
    this.#epochs = grouped(epochs, (row) => `${guid(row, 'ClientId')}/${integer(row, 'Epoch')}`);
    this.#twins = new Set((twins ?? []).map((row) => integer(row, 'N')));
    this.#rotations = grouped(rotations, byClient);
    this.#rotationsKnown = new Set((known ?? []).map((row) => integer(row, 'N')));
  }

  /** The facts of the candidate at place `n`. */
  of(candidate: CommitCandidate, n: number): Classified {
    const { clientId, messageId, rank } = candidate;
    const [outcome] = this.#outcomes.get(`${clientId}/${messageId}`) ?? [];
    const [state] = this.#states.get(clientId) ?? [];
    const [epoch] = this.#epochs.get(`${clientId}/${rank.epoch}`) ?? [];
    const own = new Set<Guid>(candidate.volumes.map(({ volumeId }) => volumeId));
    const ids = candidate.secrets.map(({ secretId }) => hexOf(secretId));
    return {
      outcome: outcome === undefined ? null : outcomeFromRow(outcome),
      healthy: new Set(ids.filter((id) => this.#healthy.has(id))),
      // Of other candidates of the same client there are other volumes in the set.
      readable: pairs((this.#readable.get(clientId) ?? []).filter((row) => own.has(guid(row, 'VolumeId')))),
      unreadable: pairs(this.#unreadable.get(clientId) ?? []),
      stateRank: state === undefined ? null : rankOf(state),
      otherManagers: state === undefined ? [] : json(state, 'OtherManagers'),
      highestSequence: epoch === undefined ? 0n : highestOf(epoch),
      sequenceTwin: this.#twins.has(n),
      registerAnew: epoch !== undefined && flag(epoch, 'IsClone'),
      rotations: (this.#rotations.get(clientId) ?? []).map(rotationRequest).sort(byDeadline),
      rotationKnown: this.#rotationsKnown.has(n),
    };
  }
}

function grouped(rows: readonly SqlRow[] | undefined, keyOf: (row: SqlRow) => string): Map<string, SqlRow[]> {
  const groups = new Map<string, SqlRow[]>();
  for (const row of rows ?? []) {
    const key = keyOf(row);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return groups;
}

const pairs = (rows: readonly SqlRow[]): Set<string> =>
  new Set(rows.map((row) => `${guid(row, 'VolumeId')}/${guid(row, 'KeyId')}`));

const rankOf = (row: SqlRow): Rank => ({
  epoch: integer(row, 'Epoch'),
  sequence: bigInteger(row, 'Sequence'),
  digest: bytes(row, 'Digest'),
});

function highestOf(row: SqlRow): bigint {
  return ['OfOutcomes', 'OfReports', 'OfState', 'OfProofs']
    .map((column) => (row[column] === null ? 0n : bigInteger(row, column)))
    .reduce((highest, sequence) => (sequence > highest ? sequence : highest), 0n);
}

const rotationRequest = (row: SqlRow): OpenRotation => ({
  requestId: guid(row, 'RequestId'),
  volumeId: guid(row, 'VolumeId'),
  keyId: guid(row, 'KeyId'),
  deadlineMs: time(row, 'Deadline'),
  origin: word(row, 'Origin', ROTATION_ORIGINS),
  notBeforeMs: time(row, 'NotBefore'),
  round: integer(row, 'Round'),
  delivered: flag(row, 'Delivered'),
});

const byDeadline = (a: OpenRotation, b: OpenRotation): number =>
  a.deadlineMs - b.deadlineMs || (a.requestId < b.requestId ? -1 : 1);
