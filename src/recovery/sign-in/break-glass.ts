import { Secret, TOTP } from 'otpauth';
import type { Clock } from '../../ops/clock.js';
import type { Logger } from '../../ops/log.js';
import { personKey, type PeopleStore } from '../../store/people-store.js';
import type { Person } from '../roles.js';
import { BREAK_GLASS_SUBJECTS, type LockOut } from './lock-out.js';
import { hashPassword, isPassword, openUnder, sealUnder, type ScryptCost } from './password-hash.js';
import { SignInRefused } from './problems.js';

/** How audit rows and logs name whoever comes in so. */
export const BREAK_GLASS_NAME = 'break-glass';

/** Whether a name is the one of break-glass: no account and nobody of a provider may have it. */
export function isBreakGlassName(name: string): boolean {
  return personKey(name) === BREAK_GLASS_NAME;
}

const STEP_SECONDS = 30;
/** Steps that a clock may be off. */
const WINDOW = 1;

const totpOf = (secret: string): TOTP =>
  new TOTP({
    issuer: 'mpe',
    label: BREAK_GLASS_NAME,
    algorithm: 'SHA1',
    digits: 6,
    period: STEP_SECONDS,
    secret: Secret.fromBase32(secret),
  });

/** What audits: writes a row, and throws where it cannot. */
export type BreakGlassAudit = (result: 'Successful' | 'Failed', detail: string) => Promise<void>;

/**
 * Makes password and second factor; answers the address for an authenticator app, which is shown once.
 */
export async function setUpBreakGlass(
  store: PeopleStore,
  password: string,
  atMs: number,
  cost?: ScryptCost,
): Promise<string> {
  const secret = new Secret({ size: 20 }).base32;
  await store.setBreakGlass({
    passwordHash: await hashPassword(password, cost),
    sealedTotp: await sealUnder(password, secret, cost),
    setAtMs: atMs,
  });
  return totpOf(secret).toString();
}

/** The parts that judge a sign-in. */
export interface BreakGlassParts {
  readonly store: PeopleStore;
  readonly lockOut: LockOut;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Whether password and code are right; a right code is used up. Neither tells which of them was wrong.
 */
export async function isBreakGlass(
  store: PeopleStore,
  attempt: { readonly password: string; readonly code: string },
  nowMs: number,
): Promise<boolean> {
  const row = await store.readBreakGlass();
  const fits = await isPassword(attempt.password, row?.passwordHash ?? null);
  if (row === null || !fits) return false;
  const secret = await openUnder(attempt.password, row.sealedTotp);
  if (secret === null) return false;
  const token = attempt.code.replaceAll(/\s/g, '');
  if (!/^\d{6}$/.test(token)) return false;
  const delta = totpOf(secret).validate({ token, timestamp: nowMs, window: WINDOW });
  if (delta === null) return false;
  const step = Math.floor(nowMs / 1000 / STEP_SECONDS) + delta;
  return store.useBreakGlassStep(step);
}

/**
 * Signs in by the break-glass account: armed, password, code. The audit row is written first; where it
 * cannot be, nobody comes in. Nothing but the site database is asked.
 *
 * @returns who it is, and when the arming ends
 * @throws SignInRefused NOT_ARMED | REFUSED | LOCKED
 */
export async function signInByBreakGlass(
  { store, lockOut, clock, log }: BreakGlassParts,
  attempt: { readonly password: string; readonly code: string; readonly address: string },
  audit: BreakGlassAudit,
): Promise<{ readonly person: Person; readonly endsAtMs: number }> {
  const { address } = attempt;
  await lockOut.assertOpen(BREAK_GLASS_SUBJECTS.form, address);
  const armedUntil = (await store.readBreakGlass())?.armedUntilMs ?? 0;
  if (armedUntil <= clock.now()) {
    log.error({ event: 'break_glass.refused', why: 'not armed', address }, 'break-glass was tried');
    // For the address alone: nobody shuts the account before it is armed.
    await lockOut.refused('', address);
    await audit('Failed', 'break-glass sign-in: not armed');
    throw new SignInRefused('NOT_ARMED');
  }
  const fits = await isBreakGlass(store, attempt, clock.now());
  // Many at once all passed the first look. Before anything is said of the two, so that it tells nothing.
  await lockOut.assertOpen(BREAK_GLASS_SUBJECTS.form, address);
  if (!fits) {
    const waitMs = await lockOut.refused(BREAK_GLASS_SUBJECTS.form, address);
    log.error(
      { event: 'break_glass.refused', why: 'password or code', address, waitMs },
      'a break-glass sign-in was refused',
    );
    await audit('Failed', 'break-glass sign-in: password or code wrong');
    throw new SignInRefused('REFUSED', { waitSeconds: Math.ceil(waitMs / 1000) });
  }
  await audit('Successful', `break-glass sign-in from ${address}`);
  await lockOut.signedIn(BREAK_GLASS_SUBJECTS.form);
  log.error(
    { event: 'break_glass.signed_in', address, armedUntil: new Date(armedUntil).toISOString() },
    'SOMEBODY CAME IN BY THE BREAK-GLASS ACCOUNT: find out who and why',
  );
  return {
    person: { name: BREAK_GLASS_NAME, roles: ['helpdesk-administrator'], signIn: 'break-glass' },
    endsAtMs: armedUntil,
  };
}
