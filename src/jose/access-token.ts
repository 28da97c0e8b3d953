import { z } from 'zod';
import { MpeError } from '../ops/errors.js';
import { parseGuid, type Guid } from '../protocol/guid.js';
import type { PrivateJwk, PublicJwk } from '../protocol/jwk.js';
import { cannotOpen } from './cannot-open.js';
import { sign } from './sign.js';
import { parseStrictObject } from './strict-json.js';
import { peekKid, verify } from './verify.js';

const TYP = 'mpe-access+jwt';

/** Eight hours: how long a stolen site token can be used. */
export const MAX_TOKEN_LIFETIME_SECONDS = 28_800;
/** How far the clocks of two gateways may differ. */
const CLOCK_LEEWAY_SECONDS = 300;

/** What a site token says. */
export interface AccessTokenRequest {
  readonly siteGuid: Guid;
  readonly clientId: Guid;
  /** The epoch of the client's registration, from 1. */
  readonly epoch: number;
  readonly lifetimeSeconds: number;
  readonly nowMs: number;
}

/** What a verified site token proves. */
export interface AccessTokenFacts {
  readonly clientId: Guid;
  readonly epoch: number;
  readonly expiresAtMs: number;
}

const claims = z.strictObject({
  iss: z.string(),
  sub: z.string(),
  epoch: z.int().min(1),
  iat: z.int().min(0),
  exp: z.int().min(0),
});

/**
 * Issues a site token: a JWT by one of the site's token keys, good for this site alone.
 *
 * @throws MpeError VALUE_INVALID where the lifetime is not 1 to 28800 seconds.
 */
export async function issueAccessToken(request: AccessTokenRequest, key: PrivateJwk): Promise<string> {
  const { siteGuid, clientId, epoch, lifetimeSeconds, nowMs } = request;
  if (
    !Number.isInteger(lifetimeSeconds) ||
    lifetimeSeconds < 1 ||
    lifetimeSeconds > MAX_TOKEN_LIFETIME_SECONDS
  ) {
    throw new MpeError(
      'VALUE_INVALID',
      `a site token lives 1 to ${String(MAX_TOKEN_LIFETIME_SECONDS)} seconds`,
    );
  }
  const iat = Math.floor(nowMs / 1000);
  const payload = claims.parse({ iss: siteGuid, sub: clientId, epoch, iat, exp: iat + lifetimeSeconds });
  return sign(Buffer.from(JSON.stringify(payload), 'utf8'), key, TYP);
}

/**
 * Verifies a site token.
 *
 * @param keys - the token keys of the site document
 * @throws MpeError CANNOT_OPEN where it is not one of this site's, is expired, lives longer than any
 * token may, or comes from the future.
 */
export async function verifyAccessToken(
  token: string,
  keys: readonly PublicJwk[],
  context: { readonly siteGuid: Guid; readonly nowMs: number },
): Promise<AccessTokenFacts> {
  const kid = peekKid(token, TYP);
  const key = keys.find((candidate) => candidate.kid === kid);
  if (key === undefined) throw cannotOpen(TYP, `no token key with id ${kid}`);
  const { payload } = await verify(token, TYP, key);
  const { iss, sub, epoch, iat, exp } = readClaims(payload);
  const now = context.nowMs / 1000;
  if (iss !== context.siteGuid) throw cannotOpen(TYP, 'the token is for another site');
  if (exp <= now) throw cannotOpen(TYP, 'the token is expired');
  if (iat > now + CLOCK_LEEWAY_SECONDS) throw cannotOpen(TYP, 'the token comes from the future');
  if (exp - iat > MAX_TOKEN_LIFETIME_SECONDS) throw cannotOpen(TYP, 'the token lives too long');
  return { clientId: readSubject(sub), epoch, expiresAtMs: exp * 1000 };
}

function readClaims(payload: Buffer): z.infer<typeof claims> {
  try {
    return claims.parse({ ...parseStrictObject(payload.toString('utf8')) });
  } catch (error) {
    throw cannotOpen(TYP, 'the claims are not those of a site token', error);
  }
}

function readSubject(sub: string): Guid {
  try {
    return parseGuid(sub);
  } catch (error) {
    throw cannotOpen(TYP, 'the subject is not a client id', error);
  }
}
