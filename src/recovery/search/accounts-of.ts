import type { NamedAccount } from '../../store/search-store.js';

/**
 * The users by which machines may name a person: `DOMAIN\user` as domain and account; an e-mail address
 * as account and domain, or as an account of the whole address. The same rule as the disclosure's.
 */
export function accountsOf(name: string): readonly NamedAccount[] {
  const text = name.normalize('NFC').trim();
  const backslash = /^([^\\]+)\\([^\\]+)$/.exec(text);
  if (backslash !== null) return [{ domain: backslash[1] ?? '', account: backslash[2] ?? '' }];
  const address = /^([^@\\]+)@([^@\\]+)$/.exec(text);
  if (address === null) return [];
  return [
    { domain: address[2] ?? '', account: address[1] ?? '' },
    { domain: null, account: text },
  ];
}

/** A user as people type one: `DOMAIN\user`, `user@domain`, or domain and account apart. */
export function namedUser(text: string): { readonly domain: string; readonly account: string } | null {
  const [first] = accountsOf(text);
  return first?.domain === undefined || first.domain === null
    ? null
    : { domain: first.domain, account: first.account };
}
