import { MpeError } from '../ops/errors.js';
import { KEY_PARTS, type KeyPart } from '../secrets/inventory.js';

/** For the help of `--roles`. */
export const ROLES_OPTION = '--roles <roles...>';

/**
 * What `--roles` names; null where it is not given.
 *
 * @throws MpeError USAGE naming the parts there are
 */
export function keyParts(names: readonly string[] | undefined): readonly KeyPart[] | null {
  if (names === undefined) return null;
  const known: readonly string[] = KEY_PARTS;
  const wrong = names.filter((name) => !known.includes(name));
  if (wrong.length > 0)
    throw new MpeError('USAGE', `--roles takes ${KEY_PARTS.join(', ')}; not ${wrong.join(', ')}`);
  return KEY_PARTS.filter((part) => names.includes(part));
}
