import { createHash } from 'node:crypto';
import { peekKid, verify } from '../jose/index.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import type { Guid } from '../protocol/guid.js';
import type { PublicJwk } from '../protocol/jwk.js';
import type { ClientKeyRow, SiteStore } from '../store/site-store.js';
import { refuse, type Refusal, type Verified } from './types.js';

/**
 * Stage `verify`: the JWS inside the envelope, by a key that is registered for the client that the
 * channel authenticated.
 *
 * Which key: the one that the kid names, if it is one of this client's. A key of an earlier epoch
 * still counts: a message signed before the client registered anew may arrive after it, its secrets
 * are worth keeping, and its rank (the earlier epoch comes first) keeps it from replacing anything
 * newer. A kid of another client is no late message but a mix-up or an attack: CANNOT_OPEN.
 */
export async function verifySignature(
  jws: string,
  clientId: Guid,
  store: SiteStore,
): Promise<Verified | Refusal> {
  const kid = readKid(jws);
  if (typeof kid !== 'string') return kid;
  const client = await store.findClient(clientId);
  const key = client?.keys.find((candidate) => candidate.kid === kid);
  if (client === null || client.state === 'PENDING' || key === undefined) {
    const owners = await store.findKeyOwners(kid);
    if (owners.some((owner) => owner !== clientId))
      return refuse('CANNOT_OPEN', `verify: the signing key belongs to another client`, kid);
    return client === null || client.state === 'PENDING'
      ? refuse('CLIENT_UNKNOWN', 'verify: the client is not registered', kid)
      : refuse('SIGNING_KEY_UNKNOWN', 'verify: no client registered the signing key', kid);
  }
  try {
    const { payload } = await verify(jws, 'mpe-msg+jws', publicJwk(key));
    const digest = createHash('sha256').update(payload).digest();
    return { kind: 'verified', client, epoch: key.epoch, payload, digest };
  } catch (error) {
    if (isMpeError(error, 'CANNOT_OPEN')) return refuse('CANNOT_OPEN', `verify: ${error.message}`, kid);
    // The row is damaged, not the message: kept until the key is there again, never given up.
    if (isMpeError(error, 'VALUE_INVALID') || isMpeError(error, 'KID_UNKNOWN'))
      return refuse('SIGNING_KEY_UNKNOWN', `verify: the stored key is damaged: ${error.message}`, kid);
    throw error;
  }
}

/**
 * The registered public key as the JOSE layer takes it.
 *
 * @throws MpeError VALUE_INVALID where the stored text is no JSON object
 */
export function publicJwk(key: ClientKeyRow): PublicJwk {
  let jwk: unknown;
  try {
    jwk = JSON.parse(key.publicJwk);
  } catch (cause) {
    throw new MpeError('VALUE_INVALID', `key ${key.kid}: the stored text is not JSON`, { cause });
  }
  if (typeof jwk !== 'object' || jwk === null)
    throw new MpeError('VALUE_INVALID', `key ${key.kid}: the stored text is no key`);
  return jwk as PublicJwk;
}

function readKid(jws: string): string | Refusal {
  try {
    return peekKid(jws, 'mpe-msg+jws');
  } catch (error) {
    if (isMpeError(error, 'CANNOT_OPEN')) return refuse('CANNOT_OPEN', `verify: ${error.message}`);
    throw error;
  }
}
