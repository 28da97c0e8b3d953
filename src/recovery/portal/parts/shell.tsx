import type { Child } from 'hono/jsx';
import { may, type Operation, type Person } from '../../roles.js';
import type { Portal } from '../../sign-in/session.js';
import { Badge } from './badge.js';
import { PostForm } from './form.js';
import { Mark } from './icon.js';
import type { View } from './view.js';

/** A part of the portals, as the navigation names it. */
export type Section = 'recovery' | 'tpm' | 'reports' | 'administration' | 'self-service';

/** What every page knows beside its own content. */
export interface Frame {
  readonly company: string;
  readonly portal: Portal;
  /** Null: nobody is signed in. */
  readonly person: Person | null;
  readonly csrf: string;
  /** After so many seconds without a request the session ends; null: nobody is signed in. */
  readonly secondsLeft: number | null;
  readonly helpdesk: { readonly text: string; readonly url: string | null };
}

const SECTIONS: readonly {
  readonly id: Section;
  readonly label: string;
  readonly href: string;
  /** Any of them opens it. */
  readonly operations: readonly Operation[];
}[] = [
  { id: 'recovery', label: 'Drive recovery', href: '/helpdesk', operations: ['key.search'] },
  { id: 'tpm', label: 'Manage TPM', href: '/helpdesk/tpm', operations: ['tpm.disclose'] },
  { id: 'reports', label: 'Reports', href: '/reports', operations: ['audit.report', 'coverage.report'] },
  {
    id: 'administration',
    label: 'Administration',
    href: '/administration',
    operations: ['rotation.list', 'policy.read', 'client.list', 'incident.list'],
  },
  { id: 'self-service', label: 'My recovery key', href: '/self-service', operations: ['own.search'] },
];

/** The sections that somebody may open. */
export function sectionsOf(person: Person, portal: Portal): typeof SECTIONS {
  return SECTIONS.filter(
    ({ id, operations }) =>
      (portal === 'helpdesk' || id === 'self-service') &&
      operations.some((operation) => may(person, operation, 'own')),
  );
}

/** A whole page. */
export function Page({
  frame,
  title,
  section,
  narrow,
  wide,
  head,
  children,
}: {
  readonly frame: Frame;
  readonly title: string;
  readonly section?: Section;
  /** Text width: forms and messages. */
  readonly narrow?: boolean;
  /** Room for tables with many columns. */
  readonly wide?: boolean;
  readonly head?: Child;
  readonly children: Child;
}): View {
  const { person, company } = frame;
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <meta name="color-scheme" content="light dark" />
        <title>{`${title} · ${company}`}</title>
        <link rel="icon" href="/assets/mark.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/assets/portal.css" />
        <script type="module" src="/assets/portal.mjs"></script>
        {head}
      </head>
      <body>
        <a class="skip" href="#content">
          Skip to the content
        </a>
        <header class="bar">
          <div class="bar-inner">
            <a class="brand" href={frame.portal === 'self-service' ? '/self-service' : '/'}>
              <Mark />
              <span>{company}</span>
            </a>
            {person === null ? null : <Sections frame={frame} person={person} here={section} />}
            {person === null ? null : <Who frame={frame} person={person} />}
          </div>
        </header>
        <main id="content" tabindex={-1} class={wide === true ? 'page page-wide' : 'page'}>
          <div class={narrow === true ? 'narrow' : undefined}>{children}</div>
        </main>
        <Foot frame={frame} />
        {frame.secondsLeft === null ? null : <SessionDialog frame={frame} secondsLeft={frame.secondsLeft} />}
      </body>
    </html>
  );
}

function Sections({
  frame,
  person,
  here,
}: {
  readonly frame: Frame;
  readonly person: Person;
  readonly here: Section | undefined;
}): View {
  const sections = sectionsOf(person, frame.portal);
  return (
    <nav aria-label="Sections">
      <ul class="nav">
        {sections.map(({ id, label, href }) => (
          <li key={id}>
            <a href={href} aria-current={id === here ? 'page' : undefined}>
              {label}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Who({ frame, person }: { readonly frame: Frame; readonly person: Person }): View {
  return (
    <div class="who">
      <span class="who-name">
        <span class="hidden-text">Signed in as </span>
        {person.signIn === 'break-glass' ? (
          <Badge tone="bad">Break-glass account</Badge>
        ) : (
          <bdi>{person.name}</bdi>
        )}
      </span>
      <PostForm action="/sign-out" csrf={frame.csrf} className="sign-out">
        <button type="submit" class="button button-small">
          Sign out
        </button>
      </PostForm>
    </div>
  );
}

function Foot({ frame }: { readonly frame: Frame }): View {
  const { text, url } = frame.helpdesk;
  return (
    <footer class="foot">
      <div class="foot-inner">
        <span>{frame.company}</span>
        {frame.portal === 'self-service' ? (
          <span>{url === null ? text : <a href={url}>{text}</a>}</span>
        ) : (
          <span>Every key that is shown is recorded, and its machine makes a new one.</span>
        )}
      </div>
    </footer>
  );
}

/** Opened by the script a minute before the session ends; without script the page moves on by itself. */
function SessionDialog({
  frame,
  secondsLeft,
}: {
  readonly frame: Frame;
  readonly secondsLeft: number;
}): View {
  return (
    <dialog
      id="session"
      aria-labelledby="session-title"
      aria-describedby="session-text"
      data-seconds={String(secondsLeft)}
      data-ended={`/session-ended?portal=${frame.portal}`}
    >
      <div class="stack">
        <div>
          <h2 id="session-title">Are you still there?</h2>
          <p id="session-text">
            For your safety you will be signed out in <span class="count">60</span> seconds.
          </p>
          <p class="hidden-text" role="status"></p>
        </div>
        <div class="row">
          <button type="button" class="button button-main" data-stay>
            Stay signed in
          </button>
          <button type="button" class="button" data-leave>
            Sign out now
          </button>
        </div>
      </div>
    </dialog>
  );
}
