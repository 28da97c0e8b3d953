import type { View } from './view.js';

const WORDS = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];

/** The eight groups of a recovery password in canonical text. */
export function groupsOf(password: string): readonly string[] {
  return password.split('-');
}

/** A group digit by digit, as one reads it over the phone: two breaths of three. */
export function spokenGroup(group: string): readonly [string, string] {
  const words = Array.from(group, (digit) => WORDS[Number(digit)] ?? digit);
  return [words.slice(0, 3).join(' '), words.slice(3).join(' ')];
}

/** The recovery password in eight numbered groups of six. */
export function KeyGroups({ password }: { readonly password: string }): View {
  return (
    <ol class="key" aria-label="Recovery key, eight groups of six digits">
      {groupsOf(password).map((group, index) => (
        <li class="key-group" key={String(index)}>
          <span class="key-place">
            <span class="hidden-text">Group </span>
            {index + 1}
          </span>
          <span class="key-digits" data-group={String(index + 1)}>
            {group}
          </span>
        </li>
      ))}
    </ol>
  );
}

/** The recovery password as one says it. */
export function SpokenKey({ password }: { readonly password: string }): View {
  return (
    <ol class="spoken" aria-label="Recovery key, digit by digit">
      {groupsOf(password).map((group, index) => {
        const [first, second] = spokenGroup(group);
        return (
          <li key={String(index)}>
            <span class="soft">Group {index + 1}</span>
            <span class="spoken-words">
              {first}
              <span class="pause" aria-hidden="true">
                ·
              </span>
              <span class="hidden-text">, </span>
              {second}
            </span>
          </li>
        );
      })}
    </ol>
  );
}
