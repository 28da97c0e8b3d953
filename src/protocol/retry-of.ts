import { MpeError } from '../ops/errors.js';
import { DISPOSITION_RETRY, REASON_TABLE, type Disposition, type Reason, type Retry } from './vocabulary.js';

/**
 * What a client does next with a message, by the one table of reasons.
 *
 * @throws MpeError INTERNAL where a disposition that needs a reason has none.
 */
export function retryOf(disposition: Disposition, reason: Reason): Retry {
  if (reason !== 'NONE') return REASON_TABLE[reason].retry;
  switch (disposition) {
    case 'QUEUED':
    case 'COMMITTED':
    case 'ALREADY_COMMITTED':
      return DISPOSITION_RETRY[disposition];
    case 'PARTIAL':
    case 'REJECTED':
    case 'QUARANTINED':
      throw new MpeError('INTERNAL', `a ${disposition} reply needs a reason`);
  }
}
