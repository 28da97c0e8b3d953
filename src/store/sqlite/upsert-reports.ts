import { PROTECTION_STATES, VOLUME_TYPES } from '../../protocol/vocabulary.js';
import type { CommitCandidate } from '../site-store.js';
import type { Connection } from './connection.js';

/**
 * Replaces the client's report of each volume where this message outranks it, by row-value
 * comparison of (epoch, sequence, digest). A volume that the message does not name keeps its
 * report. The caller has the transaction.
 */
export function upsertReports(c: Connection, candidate: CommitCandidate, atMs: number): void {
  for (const volume of candidate.volumes) {
    c.run(
      `INSERT INTO MPE_Reports (ClientId, VolumeId, Epoch, Sequence, Digest, MessageId, VolumeType, DriveLabel,
         Protection, KeyIds, ReportedAt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (ClientId, VolumeId) DO UPDATE SET
         Epoch = excluded.Epoch, Sequence = excluded.Sequence, Digest = excluded.Digest,
         MessageId = excluded.MessageId, VolumeType = excluded.VolumeType, DriveLabel = excluded.DriveLabel,
         Protection = excluded.Protection, KeyIds = excluded.KeyIds, ReportedAt = excluded.ReportedAt
       WHERE (excluded.Epoch, excluded.Sequence, excluded.Digest) > (Epoch, Sequence, Digest)`,
      candidate.clientId,
      volume.volumeId,
      candidate.rank.epoch,
      candidate.rank.sequence,
      candidate.rank.digest,
      candidate.messageId,
      VOLUME_TYPES.indexOf(volume.volumeType),
      volume.driveLabel,
      PROTECTION_STATES.indexOf(volume.protection),
      JSON.stringify([...volume.keyIds].sort()),
      atMs,
    );
  }
}
