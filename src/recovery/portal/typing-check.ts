import { isMpeError } from '../../ops/errors.js';
import { parseRecoveryPassword } from '../../protocol/recovery-password.js';
import type { TypingResult } from './parts/typing.js';

const GROUPS = 8;
const DIGITS = 6;

/**
 * Says which groups of a typed recovery password cannot be right: where the groups are told apart by
 * what stands between them, each is judged for itself, so that a digit too many harms one group alone.
 */
export function checkTyping(text: string): TypingResult {
  const parts = text.split(/[^0-9]+/).filter((part) => part !== '');
  const isSolid = parts.length === 1 && (parts[0] ?? '').length > DIGITS;
  const groups = isSolid ? ((parts[0] ?? '').match(/[0-9]{1,6}/g) ?? []) : parts;
  const sentences: string[] = [];
  if (groups.length === 0) return { fine: false, sentences: ['No digits were typed.'] };
  groups.slice(0, GROUPS).forEach((group, index) => {
    const wrong = wrongGroup(group, index);
    if (wrong !== null) sentences.push(wrong);
  });
  if (groups.length < GROUPS)
    sentences.push(
      `There ${groups.length === 1 ? 'is one group' : `are ${groups.length} groups`}; a recovery key has eight.`,
    );
  if (groups.length > GROUPS) sentences.push('There is more after the eighth group.');
  return { fine: sentences.length === 0, sentences };
}

/** What is wrong with one group, or null; the digits themselves are never repeated. */
function wrongGroup(group: string, index: number): string | null {
  const name = `Group ${index + 1}`;
  if (group.length !== DIGITS)
    return `${name} has ${group.length === 1 ? 'one digit' : `${group.length} digits`} instead of six.`;
  try {
    // The rule stands in one place: the group is tried in a password whose other groups are zero.
    const zeros = Array.from({ length: GROUPS }, (_, at) => (at === index ? group : '000000'));
    parseRecoveryPassword(zeros.join('-'));
    return null;
  } catch (error) {
    if (isMpeError(error, 'VALUE_INVALID')) return `${name} is mistyped.`;
    throw error;
  }
}
