import type { Command } from 'commander';
import { clockOf, loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { createLogger, type Logger } from '../ops/log.js';
import { ROLES, type Role } from '../recovery/roles.js';
import { accountLine } from '../recovery/service/areas/people.js';
import { isBreakGlassName } from '../recovery/sign-in/break-glass.js';
import { accountSubject } from '../recovery/sign-in/lock-out.js';
import { checkNewPassword, hashPassword } from '../recovery/sign-in/password-hash.js';
import { recordAccount, type AccountChange } from '../recovery/sign-in/record-account.js';
import type { SiteStore } from '../store/site-store.js';
import { auditedChange } from './audited-change.js';
import { operator } from './incident.js';
import { print, printJson, time } from './output.js';
import { PASSWORD_OPTION, readPassword, type PasswordSource } from './password.js';
import { requireSite, withStore } from './with-store.js';

/** A name as machines and audit have it: no control characters, at most 256 characters. */
const NAME = /^[^\p{Cc}\p{Cf}]{1,256}$/u;

/** `mpe accounts`: people who sign in to the portals without a provider. */
export function register(program: Command): void {
  const accounts = program.command('accounts').description('local accounts of the recovery service');
  accounts
    .command('list')
    .description('every account with its roles')
    .option('--json', 'as JSON')
    .action(list);
  accounts
    .command('add')
    .description('add an account; the password is asked for')
    .argument('<name>', 'DOMAIN\\user or an e-mail address: as the person’s machines name them')
    .requiredOption('--role <role...>', ROLES.join(', '))
    .option(...PASSWORD_OPTION)
    .action(add);
  accounts
    .command('set-password')
    .description('give an account another password; its sessions end')
    .argument('<name>', 'the account')
    .option(...PASSWORD_OPTION)
    .action(setPassword);
  accounts
    .command('roles')
    .description('give an account these roles in place of those that it has')
    .argument('<name>', 'the account')
    .argument('<role...>', ROLES.join(', '))
    .action(setRoles);
  accounts
    .command('disable')
    .description('switch an account off; its sessions end')
    .argument('<name>', 'the account')
    .action((name: string) => setDisabled(name, true));
  accounts
    .command('enable')
    .description('switch an account on, and end the wait after refused sign-ins')
    .argument('<name>', 'the account')
    .action((name: string) => setDisabled(name, false));
  accounts
    .command('end-sessions')
    .description('end every session of a person, of OpenID Connect too; signing in again is not prevented')
    .argument('<name>', 'as audit and portals name the person')
    .action(endSessions);
}

/** Opens the store; what is done has a row in the audit and is logged on standard error, with who did it. */
async function work<T>(
  task: (
    store: SiteStore,
    context: {
      readonly log: Logger;
      readonly now: number;
      readonly by: string;
      /** Before the change: what cannot be audited is not made. */
      readonly audit: (change: AccountChange, account: string, detail?: string) => Promise<void>;
    },
  ) => Promise<T>,
): Promise<T> {
  const config = loadConfig();
  return withStore(config, async (store) => {
    const site = await requireSite(store);
    const log = createLogger('accounts', config, { fd: 2 });
    const clock = clockOf(config, site.testSite);
    const by = operator().person.name;
    return task(store, {
      ...{ log, by, now: clock.now() },
      audit: (change, account, detail) =>
        auditedChange(() =>
          recordAccount({ store, clock, log }, { name: by, source: 'Command line' }, change, account, detail),
        ),
    });
  });
}

async function list(options: { readonly json?: boolean }): Promise<void> {
  await withStore(
    loadConfig(),
    async ({ people }) => {
      const now = Date.now();
      const rows = await people.listAccounts();
      const failures = await people.readFailures(rows.map(({ name }) => accountSubject(name)));
      const until = new Map(failures.map((row) => [row.subject, row.lockedUntilMs]));
      const lines = rows.map((row) => accountLine(row, until.get(accountSubject(row.name)) ?? 0, now));
      if (options.json) {
        printJson(lines);
        return;
      }
      if (lines.length === 0) print('no local accounts; add one: mpe accounts add');
      for (const line of lines) {
        const state = line.disabled ? 'disabled' : line.lockedUntilMs === null ? 'active' : 'waits';
        const last = line.lastSignInAtMs === null ? 'never' : time(line.lastSignInAtMs);
        print(`${line.name}  ${state}  ${line.roles.join(', ')}  last sign-in ${last}`);
      }
    },
    { readOnly: true },
  );
}

async function add(
  name: string,
  options: PasswordSource & { readonly role: readonly string[] },
): Promise<void> {
  if (!NAME.test(name)) throw new MpeError('USAGE', 'a name has 1 to 256 printable characters');
  if (isBreakGlassName(name))
    throw new MpeError('USAGE', 'break-glass is no local account; see "mpe break-glass set-up"');
  const roles = rolesOf(options.role);
  const password = await readPassword(options, true);
  checkNewPassword(password);
  const passwordHash = await hashPassword(password);
  await work(async ({ people }, { log, now, by, audit }) => {
    if ((await people.findAccount(name)) !== null) throw there(name);
    await audit('ADDED', name, roles.join(', '));
    const added = await people.addAccount({
      ...{ name, roles, passwordHash, disabled: false, revision: 1 },
      ...{ createdAtMs: now, changedAtMs: now, lastSignInAtMs: null },
    });
    if (!added) throw there(name);
    log.warn({ event: 'account.added', account: name, roles, by }, 'a local account was added');
    print(`Account ${name} is there: ${roles.join(', ')}.`);
  });
}

async function setPassword(name: string, options: PasswordSource): Promise<void> {
  const password = await readPassword(options, true);
  checkNewPassword(password);
  const passwordHash = await hashPassword(password);
  await work(async ({ people }, { log, now, by, audit }) => {
    await requireAccount(people, name);
    await audit('PASSWORD_SET', name);
    if (!(await people.changeAccount(name, { passwordHash }, now))) throw unknown(name);
    await people.endSessionsOf(name);
    log.warn({ event: 'account.password_set', account: name, by }, 'an account has another password');
    print(`Account ${name} has another password; its sessions ended.`);
  });
}

async function setRoles(name: string, given: readonly string[]): Promise<void> {
  const roles = rolesOf(given);
  await work(async ({ people }, { log, now, by, audit }) => {
    await requireAccount(people, name);
    await audit('ROLES_SET', name, roles.join(', '));
    if (!(await people.changeAccount(name, { roles }, now))) throw unknown(name);
    log.warn({ event: 'account.roles_set', account: name, roles, by }, 'an account has other roles');
    print(`Account ${name}: ${roles.join(', ')}.`);
  });
}

async function setDisabled(name: string, disabled: boolean): Promise<void> {
  await work(async ({ people }, { log, now, by, audit }) => {
    await requireAccount(people, name);
    await audit(disabled ? 'DISABLED' : 'ENABLED', name);
    if (!(await people.changeAccount(name, { disabled }, now))) throw unknown(name);
    if (disabled) await people.endSessionsOf(name);
    else await people.clearFailures([accountSubject(name)]);
    log.warn({ event: 'account.changed', account: name, disabled, by }, 'an account was switched');
    print(`Account ${name} is ${disabled ? 'off; its sessions ended' : 'on'}.`);
  });
}

async function endSessions(name: string): Promise<void> {
  if (!NAME.test(name)) throw new MpeError('USAGE', 'a name has 1 to 256 characters, none of them unseen');
  await work(async ({ people }, { log, by, audit }) => {
    await audit('SESSIONS_ENDED', name);
    await people.endSessionsOf(name);
    log.warn({ event: 'account.sessions_ended', account: name, by }, 'the sessions of a person were ended');
    print(
      `${name} has no session any more. Who may not come back: leave the group at the provider, or mpe accounts disable.`,
    );
  });
}

function rolesOf(given: readonly string[]): readonly Role[] {
  const names = given.flatMap((one) => one.split(',')).map((one) => one.trim());
  const unknownRole = names.find((one) => !(ROLES as readonly string[]).includes(one));
  if (unknownRole !== undefined)
    throw new MpeError('USAGE', `${unknownRole} is no role; there are ${ROLES.join(', ')}`);
  return ROLES.filter((role) => names.includes(role));
}

async function requireAccount(people: SiteStore['people'], name: string): Promise<void> {
  if ((await people.findAccount(name)) === null) throw unknown(name);
}

function there(name: string): MpeError {
  return new MpeError('USAGE', `there is an account ${name} already`);
}

function unknown(name: string): MpeError {
  return new MpeError('USAGE', `there is no account ${name}; see "mpe accounts list"`);
}
