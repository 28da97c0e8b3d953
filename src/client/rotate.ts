/**
 * How a client replaces a key that the site asks it to (design §1.2, §7). One step a pass, each on disk
 * before the next, so that the process may die anywhere:
 *
 *  1. note which protectors the drive has, then add a new one (a crash in between finds the new one by
 *     that note and adds no second)
 *  2. escrow it with the list of all protectors, again and again the same key, until a verified reply
 *     lists the NEW key ID as committed; until then the exposed protector stays
 *  3. remove the exposed protector, and report the volume without it: that report is the evidence that
 *     ends the rotation. `REMOVED` beside it is for people.
 *
 * From step 2 on the site asks no more, and the client goes on by its own note. It never touches a
 * protector that the site did not name.
 */
import { isMpeError } from '../ops/errors.js';
import { parseGuid, type Guid } from '../protocol/guid.js';
import type { RotationOutcome } from '../protocol/vocabulary.js';
import { composeMessage } from './compose.js';
import type { ClientContext } from './context.js';
import type { Drives } from './drives.js';
import { escrowVolumes, type VolumeInput } from './escrow.js';
import { rotationBody } from './reports.js';
import { safeKey, type ClientState, type Rotating } from './state.js';

/** Most characters of an error text on the wire. */
const ERROR_TEXT = 256;

/**
 * Does what is next for every rotation that the site asks for or that has begun.
 *
 * @returns how many messages it made; send them and call it again, until it makes none
 */
export async function rotateKeys(context: ClientContext, drives: Drives): Promise<number> {
  await adoptCommands(context);
  let made = 0;
  for (const { volumeId, keyId } of [...context.keeper.state.rotating]) {
    const rotating = noted(context.keeper.state, volumeId, keyId);
    if (rotating === undefined) continue;
    try {
      made += await step(context, drives, rotating);
    } catch (error) {
      // A state that cannot be written ends everything.
      if (isMpeError(error, 'STATE_INVALID')) throw error;
      const text = error instanceof Error ? error.message : 'unknown error';
      made += await say(context, rotating, 'FAILED', { errorText: text.slice(0, ERROR_TEXT) });
    }
  }
  return made;
}

const noted = (state: Readonly<ClientState>, volumeId: Guid, keyId: Guid): Rotating | undefined =>
  state.rotating.find((one) => one.volumeId === volumeId && one.keyId === keyId);

/** Notes new commands, and forgets rotations that were withdrawn before anything was done. */
async function adoptCommands({ keeper }: ClientContext): Promise<void> {
  const asked = keeper.state.commands.filter((one) => one.type === 'ROTATE_KEY');
  const isAsked = (one: Rotating): boolean =>
    asked.some(({ volumeId, keyId }) => volumeId === one.volumeId && keyId === one.keyId);
  await keeper.update((state) => {
    state.rotating = state.rotating.filter(
      (one) => isAsked(one) || (one.newKeyId !== null && one.said !== 'GONE'),
    );
    for (const { requestId, volumeId, keyId } of asked) {
      const known = noted(state, volumeId, keyId);
      if (known === undefined)
        state.rotating.push({
          requestId,
          volumeId,
          keyId,
          before: null,
          newKeyId: null,
          escrowId: null,
          said: '',
        });
      else if (known.requestId !== requestId) {
        // Asked for anew: what took the key's place before was exposed as well, or the key came back.
        Object.assign(known, { requestId, before: null, newKeyId: null, escrowId: null, said: '' });
      }
    }
  });
}

async function change(context: ClientContext, of: Rotating, to: Partial<Rotating>): Promise<void> {
  await context.keeper.update((state) => {
    const found = noted(state, of.volumeId, of.keyId);
    if (found !== undefined) Object.assign(found, to);
  });
}

async function step(context: ClientContext, drives: Drives, rotating: Rotating): Promise<number> {
  const { volumeId, keyId } = rotating;
  const volume = await drives.read(volumeId);
  if (volume === null) return rotating.said === 'VOLUME_ABSENT' ? 0 : say(context, rotating, 'VOLUME_ABSENT');
  const present = volume.protectors.map((one) => parseGuid(one.keyId));
  if (!present.includes(keyId)) return gone(context, rotating, volume);
  let { newKeyId } = rotating;
  if (newKeyId === null || !present.includes(newKeyId)) {
    newKeyId = await successor(context, drives, rotating, present);
    return escrowNew(context, rotating, await drives.read(volumeId), newKeyId);
  }
  if (!(safeKey(volumeId, newKeyId) in context.keeper.state.safe))
    return escrowNew(context, rotating, volume, newKeyId);
  await drives.removeProtector(volumeId, keyId);
  context.settings.onEvent({
    event: 'client.recovery-key-reset',
    mbamEventId: 30,
    volumeId,
    keyId,
    newKeyId,
  });
  return gone(context, rotating, (await drives.read(volumeId)) ?? volume);
}

/** The protector that was added for this rotation, or a new one. */
async function successor(
  context: ClientContext,
  drives: Drives,
  rotating: Rotating,
  present: readonly Guid[],
): Promise<Guid> {
  const { before, volumeId } = rotating;
  const added = before === null ? undefined : present.find((id) => !before.includes(id));
  if (before === null) await change(context, rotating, { before: [...present] });
  const newKeyId = added ?? (await drives.addProtector(volumeId));
  await change(context, rotating, { newKeyId, escrowId: null });
  return newKeyId;
}

/** Sends the new key, unless the message with it is on its way. */
async function escrowNew(
  context: ClientContext,
  rotating: Rotating,
  volume: VolumeInput | null,
  newKeyId: Guid,
): Promise<number> {
  if (volume === null) return 0;
  const { messages, held } = context.keeper.state;
  if (messages.some((one) => one.messageId === rotating.escrowId)) return 0;
  const refused = held.find((one) => one.keyId === newKeyId);
  if (rotating.escrowId !== null && refused !== undefined && rotating.said !== 'FAILED')
    return say(context, rotating, 'FAILED', { errorText: `the site refuses the new key: ${refused.reason}` });
  const [escrowId = null] = await escrowVolumes(context, [secretsOf(volume, (id) => id === newKeyId)]);
  await change(context, rotating, { escrowId });
  return 1;
}

/** The exposed protector is not there: the list without it is the evidence. */
async function gone(context: ClientContext, rotating: Rotating, volume: VolumeInput): Promise<number> {
  if (rotating.said === 'GONE') return 0;
  const { safe } = context.keeper.state;
  const { volumeId, newKeyId } = rotating;
  await escrowVolumes(context, [secretsOf(volume, (id) => !(safeKey(volumeId, id) in safe))]);
  if (newKeyId !== null) await say(context, rotating, 'REMOVED', { newKeyId });
  await change(context, rotating, { said: 'GONE' });
  return newKeyId === null ? 1 : 2;
}

/** The volume with all its key IDs, and the secrets of some. */
function secretsOf(volume: VolumeInput, brings: (keyId: Guid) => boolean): VolumeInput {
  return {
    ...volume,
    protectors: volume.protectors.map((one) => (brings(parseGuid(one.keyId)) ? one : { keyId: one.keyId })),
  };
}

async function say(
  context: ClientContext,
  rotating: Rotating,
  outcome: RotationOutcome,
  more: { readonly newKeyId?: Guid; readonly errorText?: string } = {},
): Promise<number> {
  await composeMessage(context, rotationBody({ requestId: rotating.requestId, outcome, ...more }));
  await change(context, rotating, { said: outcome });
  return 1;
}
