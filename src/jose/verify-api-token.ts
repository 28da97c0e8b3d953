import { z } from 'zod';
import { cannotOpen, kidUnknown } from './cannot-open.js';
import type { DeviceKey } from './device-keys.js';
import { guardDeviceToken } from './device-token-guard.js';
import { importKey, verifyCompact } from './node-jose.js';

/** How errors name such a token. */
const API_TOKEN = 'access token';
/** How far the clocks of service and provider may differ. */
const CLOCK_LEEWAY_SECONDS = 60;
const MAX_LIFETIME_SECONDS = 24 * 3600;

const seconds = z.int().min(0);
const claimsSchema = z.looseObject({
  iss: z.string(),
  aud: z.union([z.string(), z.array(z.string()).max(20)]),
  sub: z.string().optional(),
  iat: seconds,
  nbf: seconds.optional(),
  exp: seconds,
});

/** What a verified access token says; names and groups are the provider's. */
export type ApiTokenClaims = Readonly<Record<string, unknown>>;

/**
 * Verifies an access token of an API client (JWT, RS256) with the key that it names: signature, issuer,
 * audience, times. Its form is guarded as a device token's is.
 *
 * @throws MpeError KID_UNKNOWN | CANNOT_OPEN saying which rule is broken
 */
export async function verifyApiToken(
  token: string,
  key: DeviceKey,
  rules: { readonly issuer: string; readonly audience: string },
  nowMs: number,
): Promise<ApiTokenClaims> {
  const refuse = (problem: string, cause?: unknown) => cannotOpen(API_TOKEN, problem, cause);
  const { kid, claims: raw } = guardDeviceToken(token);
  if (kid !== key.kid) throw kidUnknown(API_TOKEN, kid);
  try {
    await verifyCompact(token, await importKey(key), 'RS256');
  } catch (error) {
    throw refuse('the signature does not verify', error);
  }
  const parsed = claimsSchema.safeParse({ ...raw });
  if (!parsed.success) throw refuse('claims are missing or of another type', parsed.error);
  const { iss, aud, iat, nbf, exp } = parsed.data;
  const now = nowMs / 1000;
  if (iss !== rules.issuer) throw refuse('another issuer');
  if (!(typeof aud === 'string' ? [aud] : aud).includes(rules.audience)) throw refuse('another audience');
  if (exp + CLOCK_LEEWAY_SECONDS <= now) throw refuse('expired');
  if (Math.max(iat, nbf ?? 0) > now + CLOCK_LEEWAY_SECONDS) throw refuse('not valid yet');
  if (exp - iat > MAX_LIFETIME_SECONDS) throw refuse('it lives too long');
  // An ID token names the client as its audience; it is for the client alone and no right to an API.
  if (raw['nonce'] !== undefined || raw['at_hash'] !== undefined) throw refuse('it is an ID token');
  return { ...raw };
}
