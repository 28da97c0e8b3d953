import type { Clock } from '../../ops/clock.js';
import { networkOf } from '../../ops/peer.js';
import { personKey, type PeopleStore } from '../../store/people-store.js';
import { SignInRefused } from './problems.js';

/** Refused sign-ins that cost nothing: people mistype. */
const FREE = { account: 3, address: 20 } as const;
/** The first wait; it doubles with each refused sign-in more. */
const FIRST_WAIT_MS = 5_000;
const LONGEST_WAIT_MS = 15 * 60_000;
/** Without a refused sign-in for so long, counting begins anew. */
const FORGET_MS = 24 * 3_600_000;

/**
 * Makes guessing slow: refused sign-ins are counted for the account and for the address, in the
 * database, so that several processes and a restart count on. The wait ends by itself; nobody can shut
 * somebody else out for longer than it.
 */
export class LockOut {
  readonly #store: PeopleStore;
  readonly #clock: Clock;

  constructor(store: PeopleStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * @param subject - {@link accountSubject}, or one of {@link BREAK_GLASS_SUBJECTS}
   * @throws SignInRefused LOCKED while subject or address have to wait; the password is not looked at
   */
  async assertOpen(subject: string, address: string): Promise<void> {
    const now = this.#clock.now();
    const known = await this.#store.readFailures(this.#subjects(subject, address));
    const until = Math.max(0, ...known.map((row) => row.lockedUntilMs));
    if (until > now) throw new SignInRefused('LOCKED', { waitSeconds: Math.ceil((until - now) / 1000) });
  }

  /** Counts a refused sign-in, for the address alone where `subject` is ''; answers how long the next one has to wait. */
  async refused(subject: string, address: string): Promise<number> {
    const now = this.#clock.now();
    const rows = await this.#store.countFailures(this.#subjects(subject, address), now, FORGET_MS);
    let longest = 0;
    for (const { subject: counted, failures } of rows) {
      const free = counted.startsWith('address:') ? FREE.address : FREE.account;
      if (failures < free) continue;
      const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(30, failures - free));
      longest = Math.max(longest, waitMs);
      await this.#store.lockUntil(counted, now + waitMs);
    }
    return longest;
  }

  /** Forgets the counts of subjects after a sign-in; the address goes on being counted. */
  async signedIn(...subjects: string[]): Promise<void> {
    await this.#store.clearFailures(subjects);
    // Strangers make up names: what is counted anew anyway need not be kept.
    await this.#store.pruneFailures(this.#clock.now() - FORGET_MS);
  }

  #subjects(subject: string, address: string): string[] {
    return [
      ...(subject === '' ? [] : [subject]),
      ...(address === '' ? [] : [`address:${networkOf(address)}`]),
    ];
  }
}

/**
 * Under what refused tries of break-glass are counted: no name that somebody types leads there, and who
 * tries at the form keeps nobody from arming it anew on the host.
 */
export const BREAK_GLASS_SUBJECTS = { form: 'break-glass:form', command: 'break-glass:command' } as const;

/** Under what an account's refused sign-ins are counted. */
export function accountSubject(account: string): string {
  return `account:${personKey(account).slice(0, 256)}`;
}
