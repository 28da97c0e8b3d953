import type { ReplyStatement } from '../protocol/client-message.js';
import { idText, type Applied } from './apply-reply.js';
import type { ClientEvent } from './events.js';
import { safeKey, type ClientState } from './state.js';

/** What a verified reply has made safe, as MBAM's client tells it. */
export type EscrowEvent = Extract<ClientEvent, { readonly mbamEventId: 28 | 29 }>;

/** Of the key IDs that a reply lists, those that were safe before it. */
export function safeAmong({ safe }: Readonly<ClientState>, reply: ReplyStatement): ReadonlySet<string> {
  const names = reply.volumes.flatMap((volume) =>
    volume.keys.map((key) => safeKey(idText(volume.volumeId), idText(key.keyId))),
  );
  return new Set(names.filter((name) => name in safe));
}

/** Events 28 and 29, each once: when a key ID, or a TPM owner authorization, becomes known as committed. */
export function escrowEvents(
  wasSafe: ReadonlySet<string>,
  { safe }: Readonly<ClientState>,
  applied: Applied,
): EscrowEvent[] {
  if (applied.kind !== 'settled') return [];
  const { keys, tpmOwnerAuth, messageId } = applied.message;
  const events: EscrowEvent[] = [];
  for (const { volumeId, keyId } of keys) {
    const name = safeKey(volumeId, keyId);
    if (name in safe && !wasSafe.has(name))
      events.push({ event: 'client.recovery-key-escrowed', mbamEventId: 29, volumeId, keyId });
  }
  if (tpmOwnerAuth?.status === 'COMMITTED')
    events.push({ event: 'client.tpm-owner-auth-escrowed', mbamEventId: 28, messageId });
  return events;
}
