import { readFileSync } from 'node:fs';
import { checkKey, publicPart } from '../jose/index.js';
import { MpeError } from '../ops/errors.js';
import type { PublicJwk } from '../protocol/jwk.js';

/**
 * A public key from a file, as `mpe audit key` prints it.
 *
 * @throws MpeError USAGE
 */
export function readPublicKey(path: string): PublicJwk {
  try {
    const key = publicPart(JSON.parse(readFileSync(path, 'utf8')) as PublicJwk);
    checkKey(key, ['ES256']);
    return key;
  } catch (cause) {
    throw new MpeError('USAGE', `${path} holds no public audit key; "mpe audit key" prints it`, { cause });
  }
}
