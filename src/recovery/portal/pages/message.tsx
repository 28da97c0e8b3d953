import type { Child } from 'hono/jsx';
import { Page, type Frame, type Section } from '../parts/shell.js';
import type { View } from '../parts/view.js';

/** A page that says one thing and where to go on. */
export function MessagePage({
  frame,
  title,
  section,
  next,
  children,
}: {
  readonly frame: Frame;
  readonly title: string;
  readonly section?: Section;
  readonly next: readonly [href: string, label: string] | null;
  readonly children: Child;
}): View {
  return (
    <Page frame={frame} title={title} {...(section === undefined ? {} : { section })} narrow>
      <h1>{title}</h1>
      <div class="stack spaced">
        <div class="stack-tight">{children}</div>
        {next === null ? null : (
          <div class="row">
            <a class="button button-main" href={next[0]}>
              {next[1]}
            </a>
          </div>
        )}
      </div>
    </Page>
  );
}
