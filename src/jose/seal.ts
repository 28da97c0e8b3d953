import { MpeError } from '../ops/errors.js';
import type { PublicJwk } from '../protocol/jwk.js';
import { checkKey } from './check-key.js';
import { guard } from './guard.js';
import { encryptNative } from './native-jwe.js';
import { encryptCompact, importKey } from './node-jose.js';
import { CONTENT_ENCRYPTION, TOKEN_RULES } from './token-rules.js';

/** Tokens that are sealed to a public key. */
export type SealedType = 'mpe-env' | 'mpe-dk';

/**
 * Seals a payload to a public key: compact JWE, `alg` the key's, `enc` A256GCM, `kid` the key's
 * thumbprint. Two calls give two tokens.
 *
 * @param payload - 1 byte or more
 * @throws MpeError VALUE_INVALID where the key is not fit for this `typ`, or there is no payload.
 *
 * @example
 * ```ts
 * const token = await seal(jws, siteDocument.sealingKeys[0], 'mpe-env');
 * ```
 */
export async function seal(
  payload: Uint8Array | string,
  recipient: PublicJwk,
  typ: SealedType,
): Promise<string> {
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'utf8') : payload;
  if (bytes.length === 0) throw new MpeError('VALUE_INVALID', `${typ}: there is nothing to seal`);
  const { alg, kid } = recipient;
  checkKey(
    recipient,
    (['RSA-OAEP-256', 'ECDH-ES+A256KW'] as const).filter((allowed) =>
      TOKEN_RULES[typ].algs.includes(allowed),
    ),
  );
  const header = { alg, enc: CONTENT_ENCRYPTION, typ, kid } as const;
  const token =
    typ === 'mpe-dk' && alg === 'RSA-OAEP-256'
      ? await encryptNative(header, recipient, bytes)
      : await encryptCompact(header, await importKey(recipient), bytes);
  // What we make must be what we take: a library that adds a header name is found here.
  guard(token, typ);
  return token;
}
