import { HelpdeskWord } from './self-service.js';
import { MessagePage } from './message.js';
import { sentence } from '../parts/sentence.js';
import type { Frame } from '../parts/shell.js';
import type { View } from '../parts/view.js';

/** Why somebody sees a page without what they wanted. */
export type PageError =
  /** The session is over, or there was none. */
  | { readonly kind: 'session-ended' }
  | { readonly kind: 'signed-out' }
  /** The person's roles do not open it. */
  | { readonly kind: 'forbidden' }
  | { readonly kind: 'self-service-off' }
  | { readonly kind: 'not-found' }
  /** Sent from elsewhere, or from a page of another session. */
  | { readonly kind: 'stale-form' }
  | { readonly kind: 'too-many'; readonly retryAfterSeconds: number }
  /** `detail` is written for people and holds no secret. */
  | { readonly kind: 'bad-request'; readonly detail: string }
  | { readonly kind: 'unavailable'; readonly detail: string }
  | { readonly kind: 'failed'; readonly reference: string };

/** The status of each. */
export function statusOfPage(error: PageError): number {
  switch (error.kind) {
    case 'session-ended':
    case 'signed-out':
      return 200;
    case 'forbidden':
    case 'self-service-off':
    case 'stale-form':
      return 403;
    case 'not-found':
      return 404;
    case 'bad-request':
      return 400;
    case 'too-many':
      return 429;
    case 'unavailable':
      return 503;
    case 'failed':
      return 500;
  }
}

/** An error, or the end of a session, as a page. */
export function ErrorPage({ frame, error }: { readonly frame: Frame; readonly error: PageError }): View {
  const home = frame.portal === 'self-service' ? '/self-service' : '/';
  switch (error.kind) {
    case 'session-ended':
      return (
        <MessagePage frame={frame} title="Your session has ended" next={[home, 'Sign in again']}>
          <p>You were signed out, because nothing was done for a while. Nothing was lost.</p>
        </MessagePage>
      );
    case 'signed-out':
      return (
        <MessagePage frame={frame} title="You are signed out" next={[home, 'Sign in again']}>
          <p>Close the window if others use this computer.</p>
        </MessagePage>
      );
    case 'forbidden':
      return (
        <MessagePage frame={frame} title="Not for your role" next={[home, 'To the start']}>
          <p>Your account does not open this page. An operator gives roles; the attempt was noted.</p>
        </MessagePage>
      );
    case 'self-service-off':
      return (
        <MessagePage frame={frame} title="Self-service is switched off" next={null}>
          <p>Recovery keys are given out by the helpdesk alone.</p>
          <p>
            <HelpdeskWord frame={frame} />
          </p>
        </MessagePage>
      );
    case 'not-found':
      return (
        <MessagePage frame={frame} title="There is no such page" next={[home, 'To the start']}>
          <p>The address may be mistyped, or what it named is gone.</p>
        </MessagePage>
      );
    case 'stale-form':
      return (
        <MessagePage frame={frame} title="The form is out of date" next={[home, 'Start again']}>
          <p>It belongs to an earlier session or came from elsewhere. Nothing was done.</p>
        </MessagePage>
      );
    case 'too-many':
      return (
        <MessagePage frame={frame} title="Too many requests" next={[home, 'To the start']}>
          <p>Please wait {error.retryAfterSeconds} seconds, then try again.</p>
        </MessagePage>
      );
    case 'bad-request':
      return (
        <MessagePage frame={frame} title="That was not understood" next={[home, 'To the start']}>
          <p>{sentence(error.detail)}</p>
        </MessagePage>
      );
    case 'unavailable':
      return (
        <MessagePage frame={frame} title="Not possible at the moment" next={[home, 'To the start']}>
          <p>{sentence(error.detail)}</p>
          <p>Try again in a minute. Nothing was shown and nothing was changed.</p>
        </MessagePage>
      );
    case 'failed':
      return (
        <MessagePage frame={frame} title="Something went wrong" next={[home, 'To the start']}>
          <p>It was noted as {error.reference}; tell that to an operator.</p>
        </MessagePage>
      );
  }
}
