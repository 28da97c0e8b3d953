import type { Child } from 'hono/jsx';
import { Notice } from '../parts/badge.js';
import { Submit, TextField } from '../parts/form.js';
import { Page, type Frame } from '../parts/shell.js';
import type { View } from '../parts/view.js';

/** What the sign-in page offers. */
export interface SignInProps {
  readonly frame: Frame;
  /** Local accounts. */
  readonly local: boolean;
  /** OpenID Connect. */
  readonly oidc: boolean;
  /** The break-glass account is armed. */
  readonly breakGlass: boolean;
  /** Name that was typed before. */
  readonly name: string;
  /** Why it is shown again. */
  readonly problem: string | null;
  /** Where to go afterwards: a path of this service. */
  readonly returnTo: string;
}

/** Where people come in. */
export function SignInPage(props: SignInProps): View {
  const { frame, local, oidc, breakGlass, problem } = props;
  const isSelfService = frame.portal === 'self-service';
  return (
    <Page frame={frame} title="Sign in" narrow>
      <h1>{isSelfService ? 'Get your recovery key' : 'Sign in'}</h1>
      <p class="lead">
        {isSelfService
          ? 'Sign in as you do on your computer.'
          : 'For the helpdesk, reports and administration of BitLocker recovery.'}
      </p>
      <div class="stack spaced">
        {problem === null ? null : (
          <Notice tone="bad" title="You are not signed in" live>
            {problem}
          </Notice>
        )}
        {oidc ? <OidcForm props={props} /> : null}
        {local ? <LocalForm props={props} also={oidc} /> : null}
        {breakGlass && !isSelfService ? <BreakGlassForm props={props} /> : null}
        {isSelfService ? null : (
          <p class="small">
            Looking for the key of your own computer? <a href="/sign-in?portal=self-service">Self-service</a>
          </p>
        )}
      </div>
    </Page>
  );
}

function OidcForm({ props }: { readonly props: SignInProps }): View {
  return (
    <SignInForm action="/sign-in/oidc" props={props}>
      <div class="row">
        <Submit>Sign in with your organisation’s account</Submit>
      </div>
    </SignInForm>
  );
}

function SignInForm({
  action,
  props,
  children,
}: {
  readonly action: string;
  readonly props: SignInProps;
  readonly children: Child;
}): View {
  return (
    <form method="post" action={action} class="form panel">
      <input type="hidden" name="portal" value={props.frame.portal} />
      <input type="hidden" name="returnTo" value={props.returnTo} />
      {children}
    </form>
  );
}

function LocalForm({ props, also }: { readonly props: SignInProps; readonly also: boolean }): View {
  return (
    <SignInForm action="/sign-in/local" props={props}>
      {also ? <h2>With a local account</h2> : null}
      <TextField
        name="name"
        label="Account"
        hint="DOMAIN\user, or the name that you were given."
        value={props.name}
        autocomplete="username"
      />
      <TextField name="password" label="Password" type="password" autocomplete="current-password" />
      <div class="row">
        <Submit tone={also ? 'plain' : 'main'}>Sign in</Submit>
      </div>
    </SignInForm>
  );
}

function BreakGlassForm({ props }: { readonly props: SignInProps }): View {
  return (
    <SignInForm action="/sign-in/break-glass" props={props}>
      <h2>Break-glass account</h2>
      <Notice tone="warn">
        Armed for a short time. Everything that is done with it is recorded and reported at once.
      </Notice>
      <TextField name="breakGlassPassword" label="Break-glass password" type="password" />
      <TextField
        name="code"
        label="Code of the second factor"
        hint="Six digits"
        autocomplete="one-time-code"
        maxLength={16}
        code
      />
      <div class="row">
        <Submit tone="bad">Sign in by break-glass</Submit>
      </div>
    </SignInForm>
  );
}
