import type { Body } from '../../protocol/client-message.js';
import { LIMITS } from '../../protocol/vocabulary.js';
import { NOTHING_JUDGED, type Judged } from '../types.js';
import { isPlainText, readGuid, storedText } from './volume.js';

/**
 * Judges a RotationResult: a claim that is kept beside the request. It creates no key and closes no
 * rotation.
 *
 * @returns the problem as text where the body breaks the contract: it has no items to refuse
 */
export function judgeRotationResult(body: Extract<Body, { type: 'ROTATION_RESULT' }>): Judged | string {
  const requestId = readGuid(body.requestId);
  if (requestId === null) return 'RotationResult.request_id is not a GUID of 16 bytes';
  const newKeyId = body.newKeyId === undefined ? null : readGuid(body.newKeyId);
  if (body.newKeyId !== undefined && newKeyId === null)
    return 'RotationResult.new_key_id is not a GUID of 16 bytes';
  const errorText = body.errorText ?? null;
  if (errorText !== null && !isPlainText(errorText, LIMITS.errorTextChars))
    return `RotationResult.error_text is longer than ${LIMITS.errorTextChars} characters or no plain text`;
  return {
    ...NOTHING_JUDGED,
    rotation: {
      requestId,
      outcome: body.outcome,
      errorCode: body.errorCode ?? null,
      errorText: errorText === null ? null : storedText(errorText),
      newKeyId,
    },
  };
}
