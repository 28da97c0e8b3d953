import { isMpeError } from '../../ops/errors.js';
import { redactText } from '../../ops/redact.js';
import { newGuid } from '../../protocol/guid.js';
import { searchDigits } from '../../store/search-digits.js';
import type { KeySearch, NamedAccount, SearchedKey, SearchStore } from '../../store/search-store.js';
import { recordEvent, type AuditContext } from '../audit/record.js';
import { grantOf } from '../roles.js';
import type { Caller, EndUser, KeyHolder, KeyLine, KeyQuery, SearchAnswer } from '../services.js';
import { accountsOf } from './accounts-of.js';

/** Keys that one answer lists. */
const MOST = 50;
/** Machines of a user that are told from those of others; of more than these some names are left out. */
const MOST_MACHINES = 1000;

/** What searches need. */
export interface SearchContext {
  readonly search: SearchStore;
  readonly audit: AuditContext;
}

/**
 * Keys by the first digits of their ID, by machine or by user. Who must name the user finds keys of that
 * user's machines alone. Every search that was understood has its row in the audit, what it found or why not,
 * and lists nothing without it.
 *
 * @param reason - where the caller asks for one
 * @throws MpeError AUDIT_UNAVAILABLE
 */
export async function searchKeys(
  context: SearchContext,
  caller: Caller,
  query: KeyQuery,
  endUser: EndUser | undefined,
  reason = '',
): Promise<SearchAnswer> {
  const named = endUser !== undefined && isGiven(endUser.domain) && isGiven(endUser.account);
  const seesAny = grantOf(caller.person, 'key.search') === 'any';
  if (!seesAny && !named) {
    const detail = 'The domain and the account of the user are needed.';
    await auditSearch(context, caller, query, endUser, `USER_REQUIRED: ${detail}`, { reason });
    return { found: 'refused', refusal: 'USER_REQUIRED', detail };
  }
  const search = searchOf(query);
  if (typeof search === 'string') return { found: 'refused', refusal: 'QUERY_INVALID', detail: search };
  const answer = await listed(context, search, named ? [endUser] : undefined, seesAny);
  await auditFound(context, caller, query, endUser, {
    ...{ ...answer, reason },
    nothing: query.by === 'key-id' ? 'no key ID begins with these digits' : 'no such machine sent a key',
  });
  return { found: 'keys', ...answer };
}

/**
 * Keys of the caller's own machines.
 *
 * @param unlisted - nobody is told of what is found: what is made of it has a row of its own
 */
export async function searchOwnKeys(
  context: SearchContext,
  caller: Caller,
  digits: string,
  unlisted = false,
): Promise<SearchAnswer> {
  const query = { by: 'key-id', digits } as const;
  const search = searchOf(query);
  if (typeof search === 'string') return { found: 'refused', refusal: 'QUERY_INVALID', detail: search };
  const answer = await listed(context, search, accountsOf(caller.person.name), false);
  if (answer.keys.length === 0 || !unlisted) {
    const nothing = 'none of their own machines sent such a key';
    await auditFound(context, caller, query, undefined, { ...answer, reason: '', nothing });
  }
  return { found: 'keys', ...answer };
}

async function listed(
  { search: store }: SearchContext,
  search: KeySearch,
  users: readonly NamedAccount[] | undefined,
  seesAny: boolean,
): Promise<{ readonly keys: readonly KeyLine[]; readonly more: boolean }> {
  const found = await store.keys(search, { limit: MOST + 1, ...(users === undefined ? {} : { users }) });
  const keys = found.slice(0, MOST).map(lineOf);
  const more = found.length > MOST;
  // Machines of others that sent the same key ID are named to those alone who may see any.
  if (seesAny || users === undefined || keys.every(({ holders }) => holders.length < 2))
    return { keys, more };
  const theirs = new Set((await store.machinesOf(users, MOST_MACHINES)).map(({ clientId }) => clientId));
  const isTheirs = ({ clientId }: KeyHolder): boolean => theirs.has(clientId);
  return { keys: keys.map((line) => ({ ...line, holders: line.holders.filter(isTheirs) })), more };
}

/** The row of a search that was made: `Successful` where it lists key IDs. */
async function auditFound(
  context: SearchContext,
  caller: Caller,
  query: KeyQuery,
  endUser: EndUser | undefined,
  found: {
    readonly keys: readonly KeyLine[];
    readonly more: boolean;
    readonly reason: string;
    readonly nothing: string;
  },
): Promise<void> {
  const { reason } = found;
  const ids = new Set(found.keys.map(({ keyId }) => keyId));
  if (ids.size === 0)
    return auditSearch(context, caller, query, endUser, `NOT_FOUND: ${found.nothing}`, { reason });
  const detail = listedText(ids.size, found.more);
  return auditSearch(context, caller, query, endUser, detail, { reason, result: 'Successful' });
}

/** What a row says of a list. */
export const listedText = (ids: number, more: boolean): string =>
  `${ids} key ID${ids === 1 ? '' : 's'} listed${more ? ', and there are more' : ''}`;

/** A row of an answered or refused look at key IDs, as the original has them. */
export async function auditSearch(
  { audit }: SearchContext,
  caller: Caller,
  query: KeyQuery,
  endUser: EndUser | undefined,
  detail: string,
  more: { readonly reason?: string; readonly result?: 'Successful' | 'Failed' } = {},
): Promise<void> {
  const own = caller.source === 'Self-Service Portal';
  const user = endUser ?? (query.by === 'user' ? query.user : undefined);
  await recordEvent(
    audit,
    {
      requestId: newGuid(),
      source: caller.source,
      person: caller.person.name,
      helpdeskUser: caller.person.name,
      endUser: own ? caller.person.name : user === undefined ? '' : `${user.domain}\\${user.account}`,
      machine: query.by === 'machine' ? query.machine : '',
      keyType: 'Recovery Key ID',
      // A password that a cut ends is not recognised any more.
      keyId: query.by === 'key-id' ? redactText(query.digits).slice(0, 64) : '',
      reason: more.reason ?? '',
      ticket: '',
      detail,
    },
    more.result ?? 'Failed',
  );
}

/** What the store searches; a text that says what is wrong. */
function searchOf(query: KeyQuery): KeySearch | string {
  switch (query.by) {
    case 'key-id':
      try {
        return { by: 'digits', digits: searchDigits(query.digits) };
      } catch (error) {
        if (isMpeError(error, 'VALUE_INVALID'))
          return 'Type the first 8 to 32 digits (0-9, A-F) of the key ID.';
        throw error;
      }
    case 'machine': {
      const [, domain = null, name = ''] = /^(?:([^\\]+)\\)?([^\\]+)$/.exec(query.machine.trim()) ?? [];
      return name === '' ? 'Type the name of the machine.' : { by: 'machine', machine: name, domain };
    }
    case 'user': {
      const { domain, account } = query.user;
      return isGiven(domain) && isGiven(account)
        ? { by: 'users', users: [{ domain: domain.trim(), account: account.trim() }] }
        : 'Type the domain and the account of the user.';
    }
  }
}

const isGiven = (text: string): boolean => text.trim() !== '';

/** A key as lists show it. */
export function lineOf(key: SearchedKey): KeyLine {
  const current = key.holders.some((holder) => holder.current);
  const superseded = key.holders.map((holder) => holder.supersededAtMs).filter((at) => at !== null);
  return {
    keyId: key.keyId,
    volumeId: key.volumeId,
    volumeType: key.volumeType,
    driveLabel: key.driveLabel,
    firstStoredAtMs: key.firstStoredAtMs,
    lastProvenAtMs: key.lastProvenAtMs,
    hasPackage: key.hasPackage,
    state: {
      current,
      supersededAtMs:
        !current && superseded.length === key.holders.length && superseded.length > 0
          ? Math.max(...superseded)
          : null,
      unproven: key.holders.length === 0,
      conflicting: key.conflicting,
      damaged: !key.readable,
      exposedAtMs: key.exposedAtMs,
    },
    holders: key.holders,
  };
}
