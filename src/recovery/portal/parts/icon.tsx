import type { View } from './view.js';

const PATHS = {
  check: 'M3 8.5 6.5 12 13 4.5',
  alert: 'M8 2.5v7M8 12.8v.4',
  clock: 'M8 4v4.2l2.8 1.7M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13',
  cross: 'M3.5 3.5l9 9M12.5 3.5l-9 9',
  dot: 'M8 8h.01',
} as const;

/** A name of an {@link Icon}. */
export type IconName = keyof typeof PATHS;

/** A small drawing beside a word; the word says what it means, so readers skip it. */
export function Icon({ name }: { readonly name: IconName }): View {
  return (
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path
        d={PATHS[name]}
        fill="none"
        stroke="currentColor"
        stroke-width={name === 'dot' ? 5 : 2}
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}

/** The mark of the portals: a key whose bit is a column of digits. */
export function Mark(): View {
  return (
    <svg viewBox="0 0 28 28" width="28" height="28" aria-hidden="true" focusable="false">
      <rect x="1" y="1" width="26" height="26" rx="7" fill="currentColor" opacity="0.14" />
      <g fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round">
        <circle cx="10" cy="14" r="4.2" />
        <path d="M14.2 14H23M19 14v3.6M23 14v2.4" />
      </g>
    </svg>
  );
}
