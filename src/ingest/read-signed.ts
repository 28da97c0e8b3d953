import { isMpeError } from '../ops/errors.js';
import { HttpProblem } from './problems.js';

/**
 * Reads a request that carries a signed statement; bytes that are not what they should be are the
 * client's fault and told as such.
 *
 * @throws HttpProblem REQUEST_MALFORMED
 */
export function readSigned<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (
      isMpeError(error, 'MALFORMED') ||
      isMpeError(error, 'CANNOT_OPEN') ||
      isMpeError(error, 'VALUE_INVALID')
    ) {
      throw new HttpProblem('REQUEST_MALFORMED', error.message, { cause: error });
    }
    throw error;
  }
}
