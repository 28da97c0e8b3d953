import { parseGuid } from '../protocol/guid.js';
import type { ClientContext } from './context.js';
import type { Drives } from './drives.js';
import { escrowVolumes } from './escrow.js';
import { rotateKeys } from './rotate.js';

/**
 * Makes the messages that the site's commands ask for: the next step of every rotation, and the secrets
 * that the site cannot read.
 *
 * @returns how many messages it made
 */
export async function followCommands(context: ClientContext, drives: Drives): Promise<number> {
  return (await rotateKeys(context, drives)) + (await escrowAsked(context, drives));
}

/** The secrets of an ESCROW command, of drives that are there. */
async function escrowAsked(context: ClientContext, drives: Drives): Promise<number> {
  let made = 0;
  for (const command of context.keeper.state.commands) {
    if (command.type !== 'ESCROW') continue;
    // What is on its way may be what is asked for.
    if (context.keeper.state.messages.length > 0) break;
    const volume = await drives.read(command.volumeId);
    if (volume === null) continue;
    const asked = new Set<string>(command.keyIds);
    const protectors = volume.protectors.map((one) =>
      asked.has(parseGuid(one.keyId)) ? one : { keyId: one.keyId },
    );
    if (!protectors.some((one) => 'recoveryPassword' in one)) continue;
    made += (await escrowVolumes(context, [{ ...volume, protectors }])).length;
  }
  return made;
}
