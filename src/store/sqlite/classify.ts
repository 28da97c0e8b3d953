import type { Guid } from '../../protocol/guid.js';
import { ROTATION_ORIGINS } from '../rotation-store.js';
import type { Classified, CommitCandidate, OpenRotation, Rank } from '../site-store.js';
import { bigInteger, bytes, flag, guid, integer, json, text, word } from './columns.js';
import type { Connection } from './connection.js';
import { findOutcome } from './outcomes.js';

/**
 * Reads what decides over each candidate. All statements of a call see one state of the database.
 * A statement costs a function call here, not a round trip, so each candidate has its own.
 */
export function classify(c: Connection, candidates: readonly CommitCandidate[]): Classified[] {
  return c.snapshot(() => candidates.map((candidate) => classifyOne(c, candidate)));
}

function classifyOne(c: Connection, candidate: CommitCandidate): Classified {
  const { clientId, messageId, rank } = candidate;
  return {
    outcome: findOutcome(c, clientId, messageId),
    healthy: healthySecrets(c, candidate),
    readable: readable(c, candidate),
    unreadable: unreadable(c, clientId),
    ...state(c, clientId),
    highestSequence: highestSequence(c, clientId, rank.epoch),
    sequenceTwin: hasSequenceTwin(c, clientId, messageId, rank),
    registerAnew: isClone(c, clientId, rank.epoch),
    rotations: openRotations(c, clientId),
    rotationKnown: rotationKnown(c, candidate),
  };
}

/** Whether a secret has a generation that counts. */
export function isHealthy(c: Connection, secretId: Uint8Array): boolean {
  return c.get('SELECT 1 FROM MPE_HealthySecrets WHERE SecretId = ? LIMIT 1', secretId) !== undefined;
}

function healthySecrets(c: Connection, candidate: CommitCandidate): Set<string> {
  const found = candidate.secrets.filter((secret) => isHealthy(c, secret.secretId));
  return new Set(found.map((secret) => Buffer.from(secret.secretId).toString('hex')));
}

/** Key ids of the reported volumes that this client has proven and the site can read. */
function readable(c: Connection, candidate: CommitCandidate): Set<string> {
  if (candidate.volumes.length === 0) return new Set();
  // CROSS JOIN is how SQLite is told the order: from the client's few proofs to their keys.
  const rows = c.all(
    `SELECT DISTINCT k.VolumeId || '/' || k.KeyId AS Pair
     FROM MPE_KeyProofs p CROSS JOIN MPE_Keys k ON k.SecretId = p.SecretId
     WHERE p.ClientId = ? AND k.Kind = 1
       AND k.VolumeId IN (SELECT value FROM json_each(?))
       AND EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = k.SecretId)`,
    candidate.clientId,
    JSON.stringify(candidate.volumes.map((volume) => volume.volumeId)),
  );
  return new Set(rows.map((row) => text(row, 'Pair')));
}

/** More than any reply asks for, with the volumes of the message itself among them. */
const MAX_UNREADABLE = 512;

/**
 * Key ids of this client's stored reports that it has not proven readably; bounded, so that what a
 * client once reported does not make each of its messages slower. In order of volumes.
 */
function unreadable(c: Connection, clientId: Guid): Set<string> {
  const rows = c.all(
    `SELECT r.VolumeId || '/' || j.value AS Pair
     FROM MPE_Reports r, json_each(r.KeyIds) j
     WHERE r.ClientId = ?1 AND NOT EXISTS (
       SELECT 1 FROM MPE_Keys k CROSS JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = ?1
       WHERE k.KeyId = j.value AND k.VolumeId = r.VolumeId AND k.Kind = 1
         AND EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = k.SecretId))
     LIMIT ?2`,
    clientId,
    MAX_UNREADABLE,
  );
  return new Set(rows.map((row) => text(row, 'Pair')));
}

function state(c: Connection, clientId: Guid): Pick<Classified, 'stateRank' | 'otherManagers'> {
  const row = c.get(
    'SELECT Epoch, Sequence, Digest, OtherManagers FROM MPE_ClientStates WHERE ClientId = ?',
    clientId,
  );
  if (row === undefined) return { stateRank: null, otherManagers: [] };
  return {
    stateRank: {
      epoch: integer(row, 'Epoch'),
      sequence: bigInteger(row, 'Sequence'),
      digest: bytes(row, 'Digest'),
    },
    otherManagers: json(row, 'OtherManagers'),
  };
}

function highestSequence(c: Connection, clientId: Guid, epoch: number): bigint {
  const row = c.get(
    `SELECT max(
       coalesce((SELECT max(Sequence) FROM MPE_Outcomes WHERE ClientId = ?1 AND Epoch = ?2), 0),
       coalesce((SELECT max(Sequence) FROM MPE_Reports WHERE ClientId = ?1 AND Epoch = ?2), 0),
       coalesce((SELECT Sequence FROM MPE_ClientStates WHERE ClientId = ?1 AND Epoch = ?2), 0),
       coalesce((SELECT max(Sequence) FROM MPE_KeyProofs WHERE ClientId = ?1 AND Epoch = ?2), 0)
     ) AS Highest`,
    clientId,
    epoch,
  );
  return row === undefined ? 0n : bigInteger(row, 'Highest');
}

/** Another message of this client carries the same (epoch, sequence): two machines, one identity. */
export function hasSequenceTwin(c: Connection, clientId: Guid, messageId: Guid, rank: Rank): boolean {
  if (rank.sequence === 0n) return false;
  const row = c.get(
    `SELECT
       EXISTS (SELECT 1 FROM MPE_Outcomes
               WHERE ClientId = ?1 AND Epoch = ?2 AND Sequence = ?3 AND MessageId <> ?4)
       OR EXISTS (SELECT 1 FROM MPE_Reports
                  WHERE ClientId = ?1 AND Epoch = ?2 AND Sequence = ?3 AND MessageId <> ?4)
       OR EXISTS (SELECT 1 FROM MPE_ClientStates
                  WHERE ClientId = ?1 AND Epoch = ?2 AND Sequence = ?3 AND MessageId <> ?4) AS Twin`,
    clientId,
    rank.epoch,
    rank.sequence,
    messageId,
  );
  return row !== undefined && integer(row, 'Twin') === 1;
}

/** The message's own epoch is flagged; a client that registered anew is free of it. */
function isClone(c: Connection, clientId: Guid, epoch: number): boolean {
  const row = c.get(
    "SELECT 1 FROM MPE_ClientFlags WHERE ClientId = ? AND Flag = 'CLONE' AND Epoch = ?",
    clientId,
    epoch,
  );
  return row !== undefined;
}

/**
 * Open requests for keys that this client has proven: by a password that was the key's when it was
 * exposed, for who made up another one under the key ID is nobody to tell.
 *
 * Until it has committed a key of the same volume that was never exposed and is new (E1 of the design, as
 * src/recovery/rotation/evidence.ts reads it): proven after the exposures, by nobody before them. From
 * then on the client knows what to do, and only evidence closes the request.
 */
function openRotations(c: Connection, clientId: Guid): OpenRotation[] {
  return c.all(OPEN_ROTATIONS, clientId).map((row) => ({
    requestId: guid(row, 'RequestId'),
    volumeId: guid(row, 'VolumeId'),
    keyId: guid(row, 'KeyId'),
    deadlineMs: integer(row, 'Deadline'),
    origin: word(row, 'Origin', ROTATION_ORIGINS),
    notBeforeMs: integer(row, 'NotBefore'),
    round: integer(row, 'Round'),
    delivered: flag(row, 'Delivered'),
  }));
}

const OPEN_ROTATIONS = `
  SELECT DISTINCT r.RequestId, r.VolumeId, r.KeyId, r.Deadline, r.Origin, r.NotBefore, r.Round,
    EXISTS (SELECT 1 FROM MPE_RotationDeliveries d
            WHERE d.RequestId = r.RequestId AND d.ClientId = p.ClientId AND d.Round = r.Round) AS Delivered
  FROM MPE_KeyProofs p
    CROSS JOIN MPE_Keys k ON k.SecretId = p.SecretId
    CROSS JOIN MPE_RotationRequests r ON r.VolumeId = k.VolumeId AND r.KeyId = k.KeyId AND r.ClosedAt IS NULL
  WHERE p.ClientId = ? AND k.Kind = 1
    AND (EXISTS (SELECT 1 FROM MPE_KeyProofs h
                   CROSS JOIN MPE_Exposures x ON x.KeyId = r.KeyId AND x.VolumeId = r.VolumeId
                   CROSS JOIN MPE_ExposureRanks q ON q.ExposureId = x.ExposureId AND q.ClientId = h.ClientId
                 WHERE h.SecretId = k.SecretId)
         OR NOT EXISTS (SELECT 1 FROM MPE_Exposures x
                          CROSS JOIN MPE_ExposureRanks q ON q.ExposureId = x.ExposureId
                        WHERE x.KeyId = r.KeyId AND x.VolumeId = r.VolumeId))
    AND NOT EXISTS (
      SELECT 1 FROM MPE_Keys n CROSS JOIN MPE_KeyProofs a ON a.SecretId = n.SecretId AND a.ClientId = p.ClientId
      WHERE n.VolumeId = r.VolumeId AND n.Kind = 1 AND n.KeyId <> r.KeyId
        AND (a.Epoch, a.Sequence) >= (p.Epoch, p.Sequence)
        AND NOT EXISTS (SELECT 1 FROM MPE_Exposures e WHERE e.KeyId = n.KeyId)
        AND EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = n.SecretId)
        AND NOT EXISTS (
          SELECT 1 FROM MPE_KeyProofs o
            CROSS JOIN MPE_Exposures x ON x.KeyId = r.KeyId AND x.VolumeId = r.VolumeId
            CROSS JOIN MPE_ExposureRanks q ON q.ExposureId = x.ExposureId AND q.ClientId = o.ClientId
          WHERE o.SecretId = n.SecretId AND (o.Epoch, o.Sequence) <= (q.Epoch, q.Sequence)))
  ORDER BY r.Deadline, r.RequestId`;

/** The report names an open request for a key that this client has proven. */
function rotationKnown(c: Connection, candidate: CommitCandidate): boolean {
  if (candidate.rotation === null) return false;
  const row = c.get(
    `SELECT 1 FROM MPE_RotationRequests r
     WHERE r.RequestId = ? AND r.ClosedAt IS NULL
       AND EXISTS (SELECT 1 FROM MPE_Keys k CROSS JOIN MPE_KeyProofs p ON p.SecretId = k.SecretId AND p.ClientId = ?
                   WHERE k.KeyId = r.KeyId AND k.VolumeId = r.VolumeId AND k.Kind = 1)`,
    candidate.rotation.requestId,
    candidate.clientId,
  );
  return row !== undefined;
}
