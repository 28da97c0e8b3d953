import { MpeError } from '../../../ops/errors.js';
import { personKey, type AccountRow } from '../../../store/people-store.js';
import { ROLES } from '../../roles.js';
import type { AccountLine, RecoveryServices } from '../../services.js';
import { accountSubject } from '../../sign-in/lock-out.js';
import { recordAccount } from '../../sign-in/record-account.js';
import type { ServicesContext } from '../services-context.js';

/** Local accounts: seen and switched off here, made and given roles on the command line. */
export function peopleServices({
  store,
  clock,
  log,
  disclosure,
}: ServicesContext): RecoveryServices['people'] {
  const { people } = store;
  return {
    list: async () => {
      const accounts = await people.listAccounts();
      const failures = await people.readFailures(accounts.map(({ name }) => accountSubject(name)));
      const lockedUntil = new Map(failures.map((row) => [row.subject, row.lockedUntilMs]));
      return accounts.map((row) =>
        accountLine(row, lockedUntil.get(accountSubject(row.name)) ?? 0, clock.now()),
      );
    },
    setDisabled: async (caller, name, disabled) => {
      if (personKey(name) === personKey(caller.person.name))
        throw new MpeError('VALUE_INVALID', 'nobody switches their own account off or on');
      if ((await people.findAccount(name)) === null)
        throw new MpeError('VALUE_INVALID', 'there is no such account');
      const by = { name: caller.person.name, source: caller.source };
      await recordAccount(disclosure, by, disabled ? 'DISABLED' : 'ENABLED', name);
      if (!(await people.changeAccount(name, { disabled }, clock.now())))
        throw new MpeError('VALUE_INVALID', 'there is no such account');
      if (disabled) await people.endSessionsOf(name);
      log.warn({ event: 'account.changed', by: caller.person.name, account: name, disabled });
    },
  };
}

/** An account as lists show it. */
export function accountLine(row: AccountRow, lockedUntilMs: number, nowMs: number): AccountLine {
  return {
    name: row.name,
    roles: ROLES.filter((role) => row.roles.includes(role)),
    disabled: row.disabled,
    lockedUntilMs: lockedUntilMs > nowMs ? lockedUntilMs : null,
    createdAtMs: row.createdAtMs,
    lastSignInAtMs: row.lastSignInAtMs,
  };
}
