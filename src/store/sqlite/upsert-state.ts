import type { ClientState, CommitCandidate } from '../site-store.js';
import type { Connection } from './connection.js';

/**
 * Replaces the client's state and users where this message outranks them. Equal and lower ranks
 * change nothing. The caller has the transaction.
 */
export function upsertState(
  c: Connection,
  candidate: CommitCandidate,
  state: ClientState,
  atMs: number,
): void {
  const changed = c.run(
    `INSERT INTO MPE_ClientStates (ClientId, Epoch, Sequence, Digest, MessageId, MachineName, Domain,
       OtherManagers, LastErrorCode, LastErrorText, LastErrorAt, ReportedAt)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (ClientId) DO UPDATE SET
       Epoch = excluded.Epoch, Sequence = excluded.Sequence, Digest = excluded.Digest,
       MessageId = excluded.MessageId, MachineName = excluded.MachineName, Domain = excluded.Domain,
       OtherManagers = excluded.OtherManagers, LastErrorCode = excluded.LastErrorCode,
       LastErrorText = excluded.LastErrorText, LastErrorAt = excluded.LastErrorAt,
       ReportedAt = excluded.ReportedAt
     WHERE (excluded.Epoch, excluded.Sequence, excluded.Digest) > (Epoch, Sequence, Digest)`,
    candidate.clientId,
    candidate.rank.epoch,
    candidate.rank.sequence,
    candidate.rank.digest,
    candidate.messageId,
    state.machineName,
    state.domain,
    JSON.stringify(state.otherManagers),
    state.lastError?.code ?? null,
    state.lastError?.text ?? null,
    state.lastError?.atMs ?? null,
    atMs,
  );
  if (changed === 0) return;
  c.run('DELETE FROM MPE_ClientUsers WHERE ClientId = ?', candidate.clientId);
  for (const user of state.users) {
    c.run(
      'INSERT INTO MPE_ClientUsers (ClientId, Domain, Name, ReportedAt) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
      candidate.clientId,
      user.domain,
      user.name,
      atMs,
    );
  }
}
