import type { Command } from '../protocol/client-message.js';
import type { Guid } from '../protocol/guid.js';
import type { Classified } from '../store/site-store.js';
import { first, type Gates } from './gates.js';
import { rotationsFor } from './rotations-for.js';
import type { Prepared } from './types.js';

/**
 * Key IDs asked for in one reply at most, beside those of the volumes that the message itself
 * reports (16 volumes of 8). A station that saw thousands of drives has thousands of key IDs that
 * were never escrowed; a list of them all would in time be longer than a reply may be.
 */
export const MAX_OTHER_KEY_IDS = 128;

/**
 * The commands of a reply: the whole present state, so that order and repetition do not matter, as
 * far as it fits into a reply. What is left out comes when what is listed is done.
 *
 *  * ROTATE_KEY for every open request on a key that this client has proven (rotations-for.ts), unless
 *    its policy only observes or another manager is at work on the machine.
 *  * ESCROW for key IDs in the client's current set that the site cannot read from it, except what a
 *    gate would refuse. What this message itself brings is not asked for.
 *
 * @param brought `${volumeId}/${keyId}` whose recovery password this message commits
 */
export function commandsFor(
  prepared: Prepared,
  facts: Classified,
  gates: Gates,
  brought: ReadonlySet<string>,
  nowMs: number,
): Command[] {
  // A blocked client is asked for nothing: whatever it sends would be refused.
  if (prepared.refusal?.reason === 'CLIENT_BLOCKED') return [];
  // A late message (a higher sequence is known) does not replace reports; its sets are old.
  const late = facts.highestSequence > prepared.rank.sequence;
  const commands: Command[] = rotationsFor(prepared, facts, gates, nowMs).map((request) => ({
    type: 'ROTATE_KEY',
    requestId: request.requestId,
    volumeId: request.volumeId,
    keyId: request.keyId,
    deadlineMs: request.deadlineMs,
  }));
  if (gates.noPolicy || gates.observeOnly || gates.secret !== 'NONE') return commands;
  const wanted = new Map<Guid, Set<Guid>>();
  const want = (volumeId: Guid, keyId: Guid): void => {
    wanted.set(volumeId, (wanted.get(volumeId) ?? new Set()).add(keyId));
  };
  const reported = new Set<Guid>(late ? [] : prepared.judged.volumes.map((volume) => volume.volumeId));
  if (!late) {
    for (const volume of prepared.judged.volumes) {
      if (gates.volume(volume.volumeType) !== 'NONE') continue;
      for (const keyId of volume.keyIds) {
        const ref = `${volume.volumeId}/${keyId}`;
        if (!facts.readable.has(ref) && !brought.has(ref)) want(volume.volumeId, keyId);
      }
    }
  }
  // Of volumes that this message does not report, the type is not at hand: they are asked for only
  // where every type is taken. The next check-in reports them all.
  const anyType = first(gates.volume('OS'), gates.volume('REMOVABLE')) === 'NONE';
  if (anyType) {
    let others = 0;
    for (const ref of facts.unreadable) {
      const [volumeId, keyId] = ref.split('/') as [Guid, Guid];
      if (reported.has(volumeId) || brought.has(ref)) continue;
      if (others === MAX_OTHER_KEY_IDS) break;
      others += 1;
      want(volumeId, keyId);
    }
  }
  for (const volumeId of [...wanted.keys()].sort()) {
    commands.push({ type: 'ESCROW', volumeId, keyIds: [...(wanted.get(volumeId) ?? [])].sort() });
  }
  return commands;
}
