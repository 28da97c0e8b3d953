import { z } from 'zod';
import { parseGuid, type Guid } from '../protocol/guid.js';
import { cannotOpen, kidUnknown } from './cannot-open.js';
import type { DeviceKey } from './device-keys.js';
import { DEVICE_TOKEN, guardDeviceToken } from './device-token-guard.js';
import { importKey, verifyCompact } from './node-jose.js';

/** What a token must say to be taken. */
export interface DeviceTokenRules {
  readonly issuer: string;
  readonly audience: string;
  readonly tenantId: string;
}

/** What a verified token proves. */
export interface DeviceTokenFacts {
  readonly deviceId: Guid;
  readonly expiresAtMs: number;
}

/** How far the clocks of gateway and issuer may differ. */
const CLOCK_LEEWAY_SECONDS = 300;
/** Entra issues tokens of up to 28 hours. */
const MAX_LIFETIME_SECONDS = 28 * 3600;

const seconds = z.int().min(0);

// Others than these say nothing here; what is here must be what it should be.
const claimsSchema = z.object({
  iss: z.string(),
  aud: z.string(),
  tid: z.string(),
  deviceid: z.string(),
  iat: seconds,
  nbf: seconds.optional(),
  exp: seconds,
});

/**
 * The id of the key that a device token names. Nothing is verified.
 *
 * @throws MpeError CANNOT_OPEN where the token does not pass the guard.
 */
export function peekDeviceKid(token: string): string {
  return guardDeviceToken(token).kid;
}

/**
 * Verifies a device token with the key that it names.
 *
 * @throws MpeError KID_UNKNOWN | CANNOT_OPEN saying which rule is broken.
 */
export async function verifyDeviceToken(
  token: string,
  key: DeviceKey,
  rules: DeviceTokenRules,
  nowMs: number,
): Promise<DeviceTokenFacts> {
  const refuse = (problem: string, cause?: unknown) => cannotOpen(DEVICE_TOKEN, problem, cause);
  const { kid, claims: raw } = guardDeviceToken(token);
  if (kid !== key.kid) throw kidUnknown(DEVICE_TOKEN, kid);
  try {
    await verifyCompact(token, await importKey(key), 'RS256');
  } catch (error) {
    throw refuse('the signature does not verify', error);
  }
  const claims = claimsSchema.safeParse({ ...raw });
  if (!claims.success) throw refuse('claims are missing or of another type', claims.error);
  const { iss, aud, tid, deviceid, iat, nbf, exp } = claims.data;
  const now = nowMs / 1000;
  if (iss !== rules.issuer) throw refuse('another issuer');
  if (aud !== rules.audience) throw refuse('another audience');
  if (tid.toLowerCase() !== rules.tenantId) throw refuse('another tenant');
  if (exp + CLOCK_LEEWAY_SECONDS <= now) throw refuse('expired');
  if (Math.max(iat, nbf ?? 0) > now + CLOCK_LEEWAY_SECONDS) throw refuse('not valid yet');
  if (exp - iat > MAX_LIFETIME_SECONDS) throw refuse('it lives too long');
  return { deviceId: readDeviceId(deviceid), expiresAtMs: (exp + CLOCK_LEEWAY_SECONDS) * 1000 };
}

function readDeviceId(text: string): Guid {
  try {
    return parseGuid(text);
  } catch (error) {
    throw cannotOpen(DEVICE_TOKEN, 'deviceid is no GUID', error);
  }
}
