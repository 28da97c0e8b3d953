import type { Child } from 'hono/jsx';
import type { View } from './view.js';
import { Icon, type IconName } from './icon.js';

/** What a coloured word means; never by colour alone, an icon goes with it. */
export type Tone = 'good' | 'warn' | 'bad' | 'accent' | 'quiet';

const ICONS: Readonly<Record<Tone, IconName>> = {
  good: 'check',
  warn: 'clock',
  bad: 'alert',
  accent: 'dot',
  quiet: 'dot',
};

/** A state in a word or two. */
export function Badge({ tone, children }: { readonly tone: Tone; readonly children: Child }): View {
  return (
    <span class={`badge badge-${tone}`}>
      <Icon name={ICONS[tone]} />
      {children}
    </span>
  );
}

/** A paragraph that must not be overlooked. `live`: read out when it appears. */
export function Notice({
  tone,
  title,
  live,
  children,
}: {
  readonly tone: Tone;
  readonly title?: string;
  readonly live?: boolean;
  readonly children?: Child;
}): View {
  return (
    <div class={`notice notice-${tone}`} role={live === true ? 'alert' : undefined}>
      {title === undefined ? null : <strong>{title}</strong>}
      {children === undefined ? null : <div>{children}</div>}
    </div>
  );
}
