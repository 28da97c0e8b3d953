import { guidFromBytes, type Guid } from '../../protocol/guid.js';
import { LIMITS, VOLUME_TYPES, type ItemReason, type VolumeType } from '../../protocol/vocabulary.js';
import { isMpeError } from '../../ops/errors.js';
import { redactText } from '../../ops/redact.js';

/** Reads a GUID of a message; null where it is not 16 bytes or all zero. */
export function readGuid(bytes: Uint8Array): Guid | null {
  try {
    return guidFromBytes(bytes);
  } catch (error) {
    if (isMpeError(error, 'VALUE_INVALID')) return null;
    throw error;
  }
}

/** An id as replies repeat it: as sent, cut at 16 bytes. */
export function echoId(bytes: Uint8Array): Uint8Array {
  return bytes.length > 16 ? bytes.subarray(0, 16) : bytes;
}

/** Narrows a volume type; a number is a type newer than this release. */
export function knownVolumeType(type: VolumeType | number): type is VolumeType {
  return typeof type === 'string' && VOLUME_TYPES.includes(type);
}

/** Whether a text can be stored and shown: inside the limit, no control characters or lone surrogates. */
export function isPlainText(text: string, maxChars: number): boolean {
  return Array.from(text).length <= maxChars && !/[\p{Cc}\p{Cs}]/u.test(text);
}

/**
 * A text that people wrote or a tool printed, as it is stored: in the clear, so without what looks
 * like a recovery password. Tools that fail like to repeat what they were given.
 */
export function storedText(text: string): string {
  return redactText(text);
}

/** Why a volume as such is refused, before its keys and gates; NONE where it is not. */
export function checkVolume(
  volume: { volumeId: Uint8Array; volumeType: VolumeType | number },
  seen: ReadonlySet<Guid>,
): { volumeId: Guid; volumeType: VolumeType; refusal: 'NONE' } | { refusal: Exclude<ItemReason, 'NONE'> } {
  const volumeId = readGuid(volume.volumeId);
  if (volumeId === null) return { refusal: 'VOLUME_ID_INVALID' };
  if (seen.has(volumeId)) return { refusal: 'VOLUME_DUPLICATE' };
  if (!knownVolumeType(volume.volumeType)) return { refusal: 'VOLUME_TYPE_UNKNOWN' };
  return { volumeId, volumeType: volume.volumeType, refusal: 'NONE' };
}

/** Whether a drive label may be stored. */
export function labelOk(label: string): boolean {
  return isPlainText(label, LIMITS.driveLabelChars);
}
