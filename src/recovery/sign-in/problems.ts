/**
 * Why a sign-in was refused. Pages get the code as `?problem=` of `/sign-in`, API callers in the
 * problem's detail. The text never tells whether an account exists.
 */
export const SIGN_IN_PROBLEMS = {
  REFUSED: 'Name and password do not fit. After some tries you have to wait before the next one.',
  LOCKED: 'There were too many refused sign-ins. Wait a while, then try again; an operator can end the wait.',
  NO_ROLE: 'You are known, but you have no role here. Ask an operator for one.',
  PROVIDER_AWAY: 'The sign-in service of your organisation does not answer. Try again in a minute.',
  PROVIDER_REFUSED: 'Your organisation’s sign-in did not come to its end. Begin again.',
  NOT_ARMED: 'The break-glass account is not armed. An operator arms it: mpe break-glass arm.',
  OFF: 'This way to sign in is switched off.',
} as const;
export type SignInProblem = keyof typeof SIGN_IN_PROBLEMS;

/** Thrown by what signs people in. */
export class SignInRefused extends Error {
  readonly problem: SignInProblem;
  /** Seconds to wait; null: none. */
  readonly waitSeconds: number | null;

  constructor(
    problem: SignInProblem,
    options: { readonly waitSeconds?: number; readonly cause?: unknown } = {},
  ) {
    super(SIGN_IN_PROBLEMS[problem], { cause: options.cause });
    this.name = 'SignInRefused';
    this.problem = problem;
    this.waitSeconds = options.waitSeconds ?? null;
  }
}
