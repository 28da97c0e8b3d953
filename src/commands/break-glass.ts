import type { Command } from 'commander';
import { clockOf, loadConfig, type Config } from '../config/index.js';
import type { Clock } from '../ops/clock.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import { createLogger, type Logger } from '../ops/log.js';
import { recordDeed } from '../recovery/audit/record-deed.js';
import { BREAK_GLASS_NAME, isBreakGlass, setUpBreakGlass } from '../recovery/sign-in/break-glass.js';
import { BREAK_GLASS_SUBJECTS, LockOut } from '../recovery/sign-in/lock-out.js';
import { checkNewPassword } from '../recovery/sign-in/password-hash.js';
import { SignInRefused } from '../recovery/sign-in/problems.js';
import type { SiteStore } from '../store/site-store.js';
import { operatorDeed } from './audited-change.js';
import { operator } from './incident.js';
import { print, time } from './output.js';
import { PASSWORD_OPTION, readPassword, type PasswordSource } from './password.js';
import { requireSite, withStore } from './with-store.js';

const HOUR_MS = 3_600_000;
const LONGEST_HOURS = 24;

/** `mpe break-glass`: an account for the day on which nobody else can come in. */
export function register(program: Command): void {
  const command = program
    .command('break-glass')
    .description('the account for the day on which the sign-in provider is down; off until it is armed');
  command
    .command('set-up')
    .description('make password and second factor anew; prints the address for an authenticator app once')
    .option(...PASSWORD_OPTION)
    .action(setUp);
  command
    .command('arm')
    .description('let the account sign in for some hours; needs its password and a code of its second factor')
    .requiredOption('--for <hours>', `1h to ${LONGEST_HOURS}h`)
    .requiredOption('--code <code>', 'the six digits of the authenticator app; each is good once')
    .option(...PASSWORD_OPTION)
    .action(arm);
  command.command('disarm').description('let it sign in no more; its sessions end').action(disarm);
  command.command('status').description('whether it is set up and armed').action(status);
}

interface Work {
  readonly config: Config;
  readonly store: SiteStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly by: string;
}

async function work(task: (parts: Work) => Promise<void>): Promise<void> {
  const config = loadConfig();
  await withStore(config, async (store) => {
    const site = await requireSite(store);
    const clock = clockOf(config, site.testSite);
    const log = createLogger('break-glass', config, { fd: 2 });
    await task({ config, store, clock, log, by: operator().person.name });
  });
}

async function setUp(options: PasswordSource): Promise<void> {
  const password = await readPassword(options, true);
  checkNewPassword(password);
  await work(async (parts) => {
    const { store, clock, log, by } = parts;
    await audit(parts, 'Successful', `set up by ${by}`);
    const address = await setUpBreakGlass(store.people, password, clock.now());
    log.error({ event: 'break_glass.set_up', by }, 'the break-glass account has another password and factor');
    print(
      'The second factor, shown this once. Put it into an authenticator app, and seal app and password apart:',
      address,
    );
  });
}

async function arm(options: PasswordSource & { readonly for: string; readonly code: string }): Promise<void> {
  const hours = Number(/^(\d{1,2})h?$/.exec(options.for)?.[1]);
  if (!(hours >= 1 && hours <= LONGEST_HOURS))
    throw new MpeError('USAGE', `--for is 1h to ${LONGEST_HOURS}h`);
  const password = await readPassword(options);
  await work(async (parts) => {
    const { config, store, clock, log, by } = parts;
    if (!config.recovery.service.breakGlass)
      throw new MpeError(
        'USAGE',
        'break-glass is off: set MPE_RECOVERY_BREAK_GLASS=allowed for the service as well',
      );
    const lockOut = new LockOut(store.people, clock);
    await assertOpen(lockOut);
    if (!(await isBreakGlass(store.people, { password, code: options.code }, clock.now()))) {
      await lockOut.refused(BREAK_GLASS_SUBJECTS.command, '');
      await audit(parts, 'Failed', `arming refused, by ${by}`);
      log.error({ event: 'break_glass.arm_refused', by }, 'arming was refused');
      throw new MpeError(
        'USAGE',
        'password and code do not fit, or the code was used: wait for the next one',
      );
    }
    const untilMs = clock.now() + hours * HOUR_MS;
    // The row first: what cannot be audited is not armed.
    await audit(parts, 'Successful', `armed by ${by} until ${new Date(untilMs).toISOString()}`);
    await store.people.armBreakGlass(untilMs, by);
    // Who tried at the form meanwhile keeps nobody waiting.
    await lockOut.signedIn(...Object.values(BREAK_GLASS_SUBJECTS));
    log.error(
      { event: 'break_glass.armed', by, until: new Date(untilMs).toISOString() },
      'THE BREAK-GLASS ACCOUNT IS ARMED',
    );
    print(`Armed until ${time(untilMs)}. Sign in with the next code; then: mpe break-glass disarm`);
  });
}

async function disarm(): Promise<void> {
  await work(async (parts) => {
    const { store, clock, log, by } = parts;
    await store.people.armBreakGlass(null, by);
    await store.people.endSessionsOf(BREAK_GLASS_NAME);
    log.warn({ event: 'break_glass.disarmed', by }, 'the break-glass account is not armed');
    // Behind the deed: disarming waits for nothing.
    const doer = { name: by, source: 'Command line' } as const;
    try {
      await recordDeed({ store, clock, log }, doer, '', `break-glass: disarmed by ${by}`);
    } catch (error) {
      if (!isMpeError(error, 'AUDIT_UNAVAILABLE')) throw error;
      throw new MpeError(
        'AUDIT_UNAVAILABLE',
        'the break-glass account is not armed and its sessions ended, but the audit took no row of it: run this again later',
        { cause: error.cause },
      );
    }
    print('Not armed; its sessions ended.');
  });
}

async function status(): Promise<void> {
  const config = loadConfig();
  await withStore(
    config,
    async (store) => {
      const row = await store.people.readBreakGlass();
      const now = Date.now();
      const until = row?.armedUntilMs ?? 0;
      print(
        `allowed      ${config.recovery.service.breakGlass ? 'yes' : 'no (MPE_RECOVERY_BREAK_GLASS)'}`,
        `set up       ${row === null ? 'no: mpe break-glass set-up' : time(row.setAtMs)}`,
        `armed        ${until > now ? `until ${time(until)} by ${row?.armedBy ?? ''}` : 'no'}`,
      );
    },
    { readOnly: true },
  );
}

async function assertOpen(lockOut: LockOut): Promise<void> {
  try {
    await lockOut.assertOpen(BREAK_GLASS_SUBJECTS.command, '');
  } catch (error) {
    if (!(error instanceof SignInRefused)) throw error;
    throw new MpeError('USAGE', `too many refused tries: wait ${error.waitSeconds ?? 60} seconds`);
  }
}

/** Before what it tells of. @throws MpeError AUDIT_UNAVAILABLE */
async function audit(
  { config, store, clock }: Work,
  result: 'Successful' | 'Failed',
  detail: string,
): Promise<void> {
  const record = operatorDeed(config, store, clock.now());
  await record('', `break-glass: ${detail}`, result === 'Failed' ? result : undefined);
}
