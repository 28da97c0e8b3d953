import { MpeError } from '../ops/errors.js';

/**
 * The one error of a token that is refused. Outside, all of them look alike; the text is for the
 * operator's log and holds no key material.
 */
export function cannotOpen(typ: string, problem: string, cause?: unknown): MpeError {
  return new MpeError('CANNOT_OPEN', `${typ}: ${problem}`, cause === undefined ? {} : { cause });
}

/** The error of a token whose key the caller does not hold. */
export function kidUnknown(typ: string, kid: string): MpeError {
  return new MpeError('KID_UNKNOWN', `${typ}: no key with id ${kid}`, { facts: { kid } });
}
