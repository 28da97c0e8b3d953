import { MpeError } from '../ops/errors.js';

/** Why a sealing key is not removed: what is sealed to it could never be opened again. */
export function notArchived(kid: string): MpeError {
  return new MpeError('VALUE_INVALID', `sealing key ${kid} is not in the archive, so it stays`);
}
