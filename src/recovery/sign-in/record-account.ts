import type { AuditContext } from '../audit/record.js';
import { recordDeed, type Doer } from '../audit/record-deed.js';

/** What can happen to a local account, and to the sessions of a person. */
export type AccountChange =
  'ADDED' | 'PASSWORD_SET' | 'ROLES_SET' | 'DISABLED' | 'ENABLED' | 'SESSIONS_ENDED';

/** What the audit calls each change. */
const WORDS: Readonly<Record<AccountChange, string>> = {
  ADDED: 'Account added',
  PASSWORD_SET: 'Password of an account set',
  ROLES_SET: 'Roles of an account set',
  DISABLED: 'Account switched off',
  ENABLED: 'Account switched on',
  SESSIONS_ENDED: 'Sessions of a person ended',
};

/**
 * Writes the row of a change of an account, before the change: nobody is let in, or given a role, without.
 *
 * @param by who changes it, as the audit names people.
 * @param detail what the word alone does not say: the roles, for one; never a password.
 * @throws MpeError AUDIT_UNAVAILABLE: the change must not be made
 */
export async function recordAccount(
  context: AuditContext,
  by: Doer,
  change: AccountChange,
  account: string,
  detail = '',
): Promise<void> {
  await recordDeed(context, by, WORDS[change], detail === '' ? account : `${account}: ${detail}`);
}
