import type { Person } from '../roles.js';

/** Where a session came into being; self-service has shorter bounds. */
export type Portal = 'helpdesk' | 'self-service';

/** A session as routes and pages see it. Its token is in the cookie alone, its hash in the database. */
export interface Session {
  readonly person: Person;
  readonly portal: Portal;
  /** Every form sends it back as `csrf`; scripts and API callers as the header `x-csrf-token`. */
  readonly csrf: string;
  readonly signedInAtMs: number;
  /** Seconds until it ends if nothing more is asked: the lesser of idle and absolute bound. */
  readonly secondsLeft: number;
  /** Whether the notice of the self-service portal was accepted in this session. */
  readonly noticeAccepted: boolean;
}

/** Seconds before the end of an idle session from which on people are warned. */
export const WARN_SECONDS = 60;
