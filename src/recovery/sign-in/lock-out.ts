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

  /** @throws SignInRefused LOCKED while account or address have to wait; the password is not looked at */
  async assertOpen(account: string, address: string): Promise<void> {
    const now = this.#clock.now();
    const known = await this.#store.readFailures(this.#subjects(account, address));
    const until = Math.max(0, ...known.map((row) => row.lockedUntilMs));
    if (until > now) throw new SignInRefused('LOCKED', { waitSeconds: Math.ceil((until - now) / 1000) });
  }

  /** Counts a refused sign-in, for the address alone where `account` is ''; answers how long the next one has to wait. */
  async refused(account: string, address: string): Promise<number> {
    const now = this.#clock.now();
    const rows = await this.#store.countFailures(this.#subjects(account, address), now, FORGET_MS);
    let longest = 0;
    for (const { subject, failures } of rows) {
      const free = subject.startsWith('account:') ? FREE.account : FREE.address;
      if (failures < free) continue;
      const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(30, failures - free));
      longest = Math.max(longest, waitMs);
      await this.#store.lockUntil(subject, now + waitMs);
    }
    return longest;
  }

  /** Forgets the account's count after a sign-in; the address goes on being counted. */
  async signedIn(account: string): Promise<void> {
    await this.#store.clearFailures([accountSubject(account)]);
    // Strangers make up names: what is counted anew anyway need not be kept.
    await this.#store.pruneFailures(this.#clock.now() - FORGET_MS);
  }

  #subjects(account: string, address: string): string[] {
    return [
      ...(account === '' ? [] : [accountSubject(account)]),
      ...(address === '' ? [] : [`address:${networkOf(address)}`]),
    ];
  }
}

/** Under what an account's refused sign-ins are counted. */
export function accountSubject(account: string): string {
  return `account:${personKey(account).slice(0, 256)}`;
}
