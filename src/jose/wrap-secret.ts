import { MpeError } from '../ops/errors.js';
import { cannotOpen, kidUnknown } from './cannot-open.js';
import { guard } from './guard.js';
import { decryptCompact, encryptCompact, importSecret } from './node-jose.js';
import { CONTENT_ENCRYPTION, TOKEN_RULES } from './token-rules.js';

/** A symmetric secret with its id, such as the worker secret. */
export interface WrappingSecret {
  /** 1 to 64 of A-Z, a-z, 0-9, "-", "_". */
  readonly id: string;
  /** 32 bytes. */
  readonly key: Buffer;
}

const TYP = 'mpe-sk';

/**
 * Wraps a payload under a symmetric secret: compact JWE, A256KW and A256GCM, `kid` the secret's id.
 *
 * @throws MpeError VALUE_INVALID where the secret does not have its form, or there is no payload.
 */
export async function wrapSecret(payload: Uint8Array, secret: WrappingSecret): Promise<string> {
  checkSecret(secret);
  if (payload.length === 0) throw new MpeError('VALUE_INVALID', 'there is nothing to wrap');
  const header = { alg: 'A256KW', enc: CONTENT_ENCRYPTION, typ: TYP, kid: secret.id } as const;
  const token = await encryptCompact(header, await importSecret(secret.key), payload);
  guard(token, TYP);
  return token;
}

/**
 * Opens what {@link wrapSecret} made.
 *
 * @throws MpeError KID_UNKNOWN (`facts.kid`) where it is wrapped under another secret; CANNOT_OPEN
 * where it does not open; VALUE_INVALID where the secret does not have its form.
 */
export async function unwrapSecret(token: string, secret: WrappingSecret): Promise<Buffer> {
  checkSecret(secret);
  const { alg, kid } = guard(token, TYP);
  if (kid !== secret.id) throw kidUnknown(TYP, kid);
  try {
    return await decryptCompact(token, await importSecret(secret.key), alg);
  } catch (error) {
    throw cannotOpen(TYP, `does not open with secret ${kid}`, error);
  }
}

function checkSecret(secret: WrappingSecret): void {
  if (secret.key.length !== 32) throw new MpeError('VALUE_INVALID', 'a wrapping secret has 32 bytes');
  if (!TOKEN_RULES[TYP].kid.test(secret.id)) {
    throw new MpeError(
      'VALUE_INVALID',
      'the id of a wrapping secret has 1 to 64 letters, digits, "-" or "_"',
    );
  }
}
