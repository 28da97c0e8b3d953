import { readFileSync } from 'node:fs';
import * as client from 'openid-client';
import type { OidcSettings } from '../../config/index.js';
import { MpeError } from '../../ops/errors.js';
import type { Logger } from '../../ops/log.js';
import { MBAM_EVENTS } from '../../ops/mbam-events.js';
import type { Person } from '../roles.js';
import { isBreakGlassName } from './break-glass.js';
import { groupsOf, nameOf, rolesOfGroups } from './groups.js';
import { httpsFetch, type Fetch } from './https-fetch.js';
import { SignInRefused } from './problems.js';
import type { Portal } from './session.js';

/** What is kept in the browser while somebody is at the provider. */
export interface OidcState {
  readonly state: string;
  readonly nonce: string;
  /** Of PKCE. */
  readonly verifier: string;
  readonly portal: Portal;
  readonly returnTo: string;
}

/** The provider's configuration is read again after this time. */
const CONFIGURATION_MS = 3_600_000;
const LEEWAY_SECONDS = 60;

/**
 * Signs people in at an OpenID provider: code flow with PKCE, state and nonce; the ID token's signature,
 * issuer, audience and times are verified by the library, the `iss` of the answer as well. What the
 * provider says of groups gives the roles, at the sign-in and for `MPE_RECOVERY_OIDC_MINUTES`.
 */
export class OidcSignIn {
  readonly #settings: OidcSettings;
  readonly #log: Logger;
  readonly #callback: () => string;
  readonly fetch: Fetch;
  #configuration: { readonly value: client.Configuration; readonly readAt: number } | null = null;

  /** @param callback - address that the provider sends people back to */
  constructor(settings: OidcSettings, callback: () => string, log: Logger) {
    this.#settings = settings;
    this.#callback = callback;
    this.#log = log;
    this.fetch = httpsFetch(readCa(settings.ca));
  }

  /** Where to send somebody, and what their browser keeps meanwhile. @throws SignInRefused PROVIDER_AWAY */
  async begin(portal: Portal, returnTo: string): Promise<{ readonly url: URL; readonly kept: OidcState }> {
    const configuration = await this.configuration();
    const kept: OidcState = {
      state: client.randomState(),
      nonce: client.randomNonce(),
      verifier: client.randomPKCECodeVerifier(),
      portal,
      returnTo,
    };
    const url = client.buildAuthorizationUrl(configuration, {
      redirect_uri: this.#callback(),
      scope: this.#settings.scopes,
      state: kept.state,
      nonce: kept.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(kept.verifier),
      code_challenge_method: 'S256',
    });
    return { url, kept };
  }

  /**
   * What the provider's answer makes of somebody.
   *
   * @param query - of the address that the provider sent the browser to
   * @throws SignInRefused PROVIDER_REFUSED | PROVIDER_AWAY | NO_ROLE
   */
  async finish(query: string, kept: OidcState): Promise<Person> {
    const configuration = await this.configuration();
    let claims: client.IDToken | undefined;
    try {
      const tokens = await client.authorizationCodeGrant(
        configuration,
        new URL(`${this.#callback()}?${query}`),
        {
          expectedState: kept.state,
          expectedNonce: kept.nonce,
          pkceCodeVerifier: kept.verifier,
          idTokenExpected: true,
        },
      );
      claims = tokens.claims();
    } catch (error) {
      const away = isNetwork(error);
      this.#log[away ? 'error' : 'warn'](
        {
          event: 'sign_in.refused',
          way: 'oidc',
          ...(away ? { mbamEventId: MBAM_EVENTS.DomainControllerError } : {}),
          why: reasonOf(error),
        },
        away ? 'the OpenID provider does not answer' : 'a sign-in by the OpenID provider was refused',
      );
      throw new SignInRefused(away ? 'PROVIDER_AWAY' : 'PROVIDER_REFUSED', { cause: error });
    }
    return this.personOf({ ...claims });
  }

  /** @throws SignInRefused PROVIDER_REFUSED without a name, NO_ROLE without a role */
  personOf(claims: Readonly<Record<string, unknown>>): Person {
    const { nameClaim, groupsClaim, roles: map } = this.#settings;
    const name = nameOf(claims[nameClaim]);
    if (name === null || isBreakGlassName(name)) {
      this.#log.warn({
        ...{ event: 'sign_in.refused', way: 'oidc' },
        why: `the claim ${nameClaim} names ${name === null ? 'nobody' : 'break-glass'}`,
      });
      throw new SignInRefused('PROVIDER_REFUSED');
    }
    const roles = rolesOfGroups(groupsOf(claims[groupsClaim]), map);
    if (roles.length === 0) {
      this.#log.warn({ event: 'sign_in.refused', way: 'oidc', person: name, why: 'no group gives a role' });
      throw new SignInRefused('NO_ROLE');
    }
    return { name, roles, signIn: 'oidc' };
  }

  /** Where to sign out at the provider; null: it offers none, or does not answer. */
  async signOutUrl(backTo: string): Promise<string | null> {
    try {
      const configuration = await this.configuration();
      if (configuration.serverMetadata().end_session_endpoint === undefined) return null;
      return client.buildEndSessionUrl(configuration, { post_logout_redirect_uri: backTo }).href;
    } catch {
      return null;
    }
  }

  /** The provider's configuration. @throws SignInRefused PROVIDER_AWAY */
  async configuration(): Promise<client.Configuration> {
    const held = this.#configuration;
    if (held !== null && performance.now() - held.readAt < CONFIGURATION_MS) return held.value;
    const { issuer, clientId, clientSecret } = this.#settings;
    try {
      const value = await client.discovery(
        new URL(issuer),
        clientId,
        { client_secret: clientSecret, [client.clockTolerance]: LEEWAY_SECONDS },
        undefined,
        {
          [client.customFetch]: this.fetch,
          execute: [client.enableNonRepudiationChecks],
        },
      );
      this.#configuration = { value, readAt: performance.now() };
      return value;
    } catch (error) {
      // What was read before goes on: its addresses seldom change.
      if (held !== null) return held.value;
      this.#log.error(
        {
          event: 'sign_in.provider_away',
          mbamEventId: MBAM_EVENTS.DomainControllerError,
          why: reasonOf(error),
        },
        'the OpenID provider’s configuration cannot be read',
      );
      throw new SignInRefused('PROVIDER_AWAY', { cause: error });
    }
  }
}

/** A name of the failure for the log; messages of providers may hold what people sent. */
function reasonOf(error: unknown): string {
  const { code, error: oauth, name } = error as { code?: unknown; error?: unknown; name?: unknown };
  const known = [oauth, code, name].filter((one) => typeof one === 'string');
  return known.slice(0, 2).join(' ').slice(0, 100);
}

function isNetwork(error: unknown): boolean {
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    const code = (one as NodeJS.ErrnoException).code ?? '';
    if (/^E[A-Z]+$/.test(code) || one.name === 'TimeoutError' || one.name === 'AbortError') return true;
  }
  return false;
}

/** @throws MpeError CONFIG_INVALID */
function readCa(file: string | null): string | null {
  if (file === null) return null;
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new MpeError('CONFIG_INVALID', `MPE_RECOVERY_OIDC_CA: ${file} cannot be read`, { cause });
  }
}
