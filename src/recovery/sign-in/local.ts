import type { Clock } from '../../ops/clock.js';
import type { Logger } from '../../ops/log.js';
import type { PeopleStore } from '../../store/people-store.js';
import { ROLES, type Person } from '../roles.js';
import { isBreakGlassName } from './break-glass.js';
import { accountSubject, type LockOut } from './lock-out.js';
import { isPassword } from './password-hash.js';
import { SignInRefused } from './problems.js';

/** Somebody whose password fits. */
export interface SignedIn {
  readonly person: Person;
  readonly accountRevision: number;
}

/** What signs in with local accounts. */
export interface LocalSignInParts {
  readonly store: PeopleStore;
  readonly lockOut: LockOut;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Signs somebody in by a local account. Unknown names, disabled accounts and wrong passwords look alike
 * and take as long.
 *
 * @throws SignInRefused REFUSED | LOCKED | NO_ROLE
 */
export async function signInLocally(
  { store, lockOut, clock, log }: LocalSignInParts,
  attempt: { readonly name: string; readonly password: string; readonly address: string },
): Promise<SignedIn> {
  const { name, password, address } = attempt;
  const subject = accountSubject(name);
  await lockOut.assertOpen(subject, address);
  const account = isBreakGlassName(name) ? null : await store.findAccount(name);
  const fits = await isPassword(password, account?.passwordHash ?? null);
  // Many at once all passed the first look. Before anything is said of the password, so that it tells nothing.
  await lockOut.assertOpen(subject, address);
  if (account === null || !fits || account.disabled) {
    const waitMs = await lockOut.refused(subject, address);
    log.warn(
      // A name that is no account may be a password typed into the wrong field.
      { event: 'sign_in.refused', way: 'local', account: account?.name ?? null, address, waitMs },
      'a sign-in was refused',
    );
    throw new SignInRefused('REFUSED', { waitSeconds: Math.ceil(waitMs / 1000) });
  }
  await lockOut.signedIn(subject);
  const roles = ROLES.filter((role) => account.roles.includes(role));
  if (roles.length === 0) throw new SignInRefused('NO_ROLE');
  await store.noteSignIn(account.name, clock.now());
  log.info({ event: 'sign_in.done', way: 'local', person: account.name, roles, address }, 'signed in');
  return { person: { name: account.name, roles, signIn: 'local' }, accountRevision: account.revision };
}
