import type { CommitCandidate, RotationReport } from '../../site-store.js';
import type { Connection, SqlParameter } from '../connection.js';

const INSERT = `INSERT INTO MPE_RotationReports (RequestId, ClientId, MessageId, Epoch, Sequence, Outcome, ErrorCode,
  ErrorText, NewKeyId, ReportedAt)`;

function values(candidate: CommitCandidate, claim: RotationReport, atMs: number): SqlParameter[] {
  const { clientId, messageId, rank } = candidate;
  return [
    ...[claim.requestId, clientId, messageId, rank.epoch, rank.sequence, claim.outcome],
    ...[claim.errorCode, claim.errorText, claim.newKeyId, atMs],
  ];
}

/** Keeps what a client claims of a rotation beside the request. */
export function writeClaim(
  c: Connection,
  candidate: CommitCandidate,
  claim: RotationReport,
  atMs: number,
): void {
  c.run(
    `${INSERT} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    ...values(candidate, claim, atMs),
  );
}

/** Keeps the first claim of a client that was refused; see `isForeignClaim`. */
export function writeForeignClaim(
  c: Connection,
  candidate: CommitCandidate,
  claim: RotationReport,
  atMs: number,
): void {
  c.run(
    `${INSERT} SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
     WHERE EXISTS (SELECT 1 FROM MPE_RotationRequests r WHERE r.RequestId = ?1)
       AND NOT EXISTS (SELECT 1 FROM MPE_RotationReports t WHERE t.RequestId = ?1 AND t.ClientId = ?2)`,
    ...values(candidate, claim, atMs),
  );
}
