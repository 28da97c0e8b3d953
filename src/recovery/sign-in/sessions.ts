import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { RecoveryServiceSettings } from '../../config/index.js';
import type { Clock } from '../../ops/clock.js';
import type { Logger } from '../../ops/log.js';
import type { FoundSession, PeopleStore, SessionRow } from '../../store/people-store.js';
import { ROLES, type Person, type Role } from '../roles.js';
import type { Portal, Session } from './session.js';

/** A request within this time of the last one writes nothing. */
const TOUCH_EVERY_MS = 5_000;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

/** A session that a request came with. */
export interface HeldSession {
  readonly session: Session;
  readonly tokenHash: Buffer;
  /** A new token for the cookie, where roles changed; null: the cookie stays. */
  readonly renewed: string | null;
}

/**
 * Sessions live in the database, by the hash of their token: whoever reads the database has no session.
 * A token is made anew at each sign-in and whenever a person's roles change; a session ends when it is
 * idle, when its time is over, at sign-out, when its account is disabled or gets another password, and
 * (break-glass) when the account is no longer armed. What an OpenID provider says of a person changes
 * without anybody telling: it counts for a bounded time, after which the provider is asked again by a new
 * sign-in.
 */
export class Sessions {
  readonly #store: PeopleStore;
  readonly #settings: RecoveryServiceSettings;
  readonly #clock: Clock;
  readonly #log: Logger;

  constructor(store: PeopleStore, settings: RecoveryServiceSettings, clock: Clock, log: Logger) {
    this.#store = store;
    this.#settings = settings;
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * Begins one; the token goes into the cookie and nowhere else.
   *
   * @param former - token that the browser came with: that session ends
   */
  async begin(
    person: Person,
    portal: Portal,
    more: {
      readonly accountRevision?: number;
      readonly former?: string | undefined;
      readonly endsAtMs?: number;
    },
  ): Promise<string> {
    const now = this.#clock.now();
    const token = randomBytes(32).toString('base64url');
    if (more.former !== undefined && TOKEN.test(more.former)) {
      await this.#store.endSession(hashOf(more.former));
    }
    await this.#store.addSession({
      tokenHash: hashOf(token),
      personName: person.name,
      roles: person.roles,
      signIn: person.signIn,
      portal: portalOf(person, portal),
      accountRevision: more.accountRevision ?? null,
      noticeAccepted: false,
      createdAtMs: now,
      lastSeenAtMs: now,
      endsAtMs: Math.min(now + this.#settings.absoluteMs, more.endsAtMs ?? Number.MAX_SAFE_INTEGER),
    });
    await this.#store.pruneSessions(now);
    return token;
  }

  /** The session of a token that is still good; null for every other. */
  async find(token: string | undefined): Promise<HeldSession | null> {
    if (token === undefined || !TOKEN.test(token)) return null;
    const tokenHash = hashOf(token);
    const found = await this.#store.findSession(tokenHash);
    if (found === null) return null;
    const now = this.#clock.now();
    const { session: row } = found;
    const why = this.#overBecause(found, now);
    if (why !== null) {
      await this.#store.endSession(tokenHash);
      this.#log.info({ event: 'session.ended', person: row.personName, why });
      return null;
    }
    if (found.account !== null && !isSame(found.account.roles, row.roles)) return this.#renew(row, found);
    if (now - row.lastSeenAtMs >= TOUCH_EVERY_MS) await this.#store.touchSession(tokenHash, now);
    return { session: this.#seen(row, row.roles, token, now), tokenHash, renewed: null };
  }

  #overBecause({ session, account, armedUntilMs }: FoundSession, now: number): string | null {
    if (now >= session.endsAtMs) return 'its time is over';
    if (now >= this.#endsAt(session)) return 'the provider is to be asked again';
    if (now >= session.lastSeenAtMs + this.#idleMs(session.portal)) return 'idle';
    switch (session.signIn) {
      case 'oidc':
        return this.#settings.oidc === null ? 'the provider is switched off' : null;
      case 'local':
        if (!this.#settings.local) return 'local accounts are switched off';
        if (account === null || account.disabled) return 'the account is disabled';
        // Roles alone may differ: then the session is renewed. A password may not.
        return account.revision !== session.accountRevision && isSame(account.roles, session.roles)
          ? 'the account was changed'
          : null;
      case 'break-glass':
        return armedUntilMs === null || armedUntilMs <= now ? 'the break-glass account is not armed' : null;
    }
  }

  /** Another id with the roles of now; what was left of the time stays. */
  async #renew(row: SessionRow, { account }: FoundSession): Promise<HeldSession> {
    const now = this.#clock.now();
    const token = randomBytes(32).toString('base64url');
    const roles = account?.roles ?? [];
    const tokenHash = hashOf(token);
    await this.#store.endSession(row.tokenHash);
    await this.#store.addSession({
      ...row,
      tokenHash,
      roles,
      accountRevision: account?.revision ?? null,
      lastSeenAtMs: now,
    });
    this.#log.info(
      { event: 'session.renewed', person: row.personName, roles },
      'the roles of a person changed',
    );
    return { session: this.#seen(row, roles, token, now), tokenHash, renewed: token };
  }

  #seen(row: SessionRow, roles: readonly string[], token: string, now: number): Session {
    const left = Math.min(this.#endsAt(row), now + this.#idleMs(row.portal)) - now;
    return {
      person: { name: row.personName, roles: rolesOf(roles), signIn: row.signIn },
      portal: row.portal,
      csrf: csrfOf(token),
      signedInAtMs: row.createdAtMs,
      secondsLeft: Math.max(0, Math.floor(left / 1000)),
      noticeAccepted: row.noticeAccepted,
    };
  }

  /** The end whatever is asked; by the settings of now, so that a shorter time counts for sessions of before. */
  #endsAt({ endsAtMs, createdAtMs, signIn }: SessionRow): number {
    const { oidc } = this.#settings;
    return signIn === 'oidc' && oidc !== null ? Math.min(endsAtMs, createdAtMs + oidc.rolesMs) : endsAtMs;
  }

  #idleMs(portal: Portal): number {
    return portal === 'self-service' ? this.#settings.selfService.idleMs : this.#settings.idleMs;
  }

  /** Ends the session of a token. */
  async end(token: string | undefined): Promise<void> {
    if (token !== undefined && TOKEN.test(token)) await this.#store.endSession(hashOf(token));
  }
}

/** The form says which portal; who has self-service alone gets no longer session by saying another. */
export function portalOf({ roles }: Pick<Person, 'roles'>, asked: Portal): Portal {
  return roles.every((role) => role === 'self-service-user') ? 'self-service' : asked;
}

/** Whether two CSRF tokens are one, in the same time whatever the answer. */
export function isCsrf(expected: string, given: string): boolean {
  const [a, b] = [expected, given].map((text) => createHash('sha256').update(text).digest());
  return a !== undefined && b !== undefined && timingSafeEqual(a, b);
}

/** Derived from the session's token, which no other site knows: it needs no place in the database. */
function csrfOf(token: string): string {
  return createHmac('sha256', token).update('mpe csrf').digest('base64url');
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function rolesOf(names: readonly string[]): readonly Role[] {
  return ROLES.filter((role) => names.includes(role));
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one));
}
