import type { FastifyReply } from 'fastify';
import type { RecoveryServiceSettings } from '../../config/index.js';
import type { Portal, Session } from '../sign-in/session.js';
import { ErrorPage, statusOfPage, type PageError } from './pages/errors.js';
import { SignInPage, type SignInProps } from './pages/sign-in.js';
import type { Frame } from './parts/shell.js';
import type { View } from './parts/view.js';

/** Sends a page; the headers that keep it safe come from a hook of the service, for every answer. */
export async function sendPage(reply: FastifyReply, page: View, status = 200): Promise<FastifyReply> {
  const html = `<!doctype html>${withoutUnseen(String(await page))}`;
  return reply.code(status).type('text/html; charset=utf-8').send(html);
}

/**
 * Characters that are not seen (Unicode Cf: marks of direction, of zero width) are shown as U+FFFD, so that
 * no name of a machine, label or ticket looks like another. What a form sends back stays as it is; its
 * quotes are escaped, so nothing else looks like a value.
 */
export function withoutUnseen(html: string): string {
  return html.replaceAll(/( value="[^"]*")|\p{Cf}/gu, (_found, value?: string) => value ?? '\uFFFD');
}

/** The frame of a page: who sees it, in which portal, with whose name above. */
export function frameFor(
  settings: Pick<RecoveryServiceSettings, 'branding'>,
  portal: Portal,
  session: Session | null,
): Frame {
  const { company, helpdeskText, helpdeskUrl } = settings.branding;
  return {
    company,
    portal,
    person: session?.person ?? null,
    csrf: session?.csrf ?? '',
    secondsLeft: session?.secondsLeft ?? null,
    helpdesk: { text: helpdeskText, url: helpdeskUrl },
  };
}

/**
 * The sign-in page. Its forms go to `POST /sign-in/local` (name, password),
 * `POST /sign-in/break-glass` (breakGlassPassword, code) and `POST /sign-in/oidc`; all of them
 * carry `portal` and `returnTo`. Nobody is signed in yet: the service judges where they come from.
 */
export async function sendSignIn(
  reply: FastifyReply,
  props: SignInProps,
  status = 200,
): Promise<FastifyReply> {
  return sendPage(reply, <SignInPage {...props} />, status);
}

/** An error, or the end of a session, as a page with its status. */
export async function sendPageError(
  reply: FastifyReply,
  frame: Frame,
  error: PageError,
): Promise<FastifyReply> {
  if (error.kind === 'too-many') void reply.header('retry-after', String(error.retryAfterSeconds));
  return sendPage(reply, <ErrorPage frame={frame} error={error} />, statusOfPage(error));
}
