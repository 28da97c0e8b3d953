import type { DisclosableSecret, SecretHolder } from '../../store/disclosure-store.js';
import { grantOf, type Grant, type Person } from '../roles.js';
import type { DisclosureRequest, NamedUser } from './types.js';

/** What a person may see of the secrets of a key ID. */
export type Authorised =
  | {
      readonly may: true;
      /** With the holders by which the person may see each. */
      readonly secrets: readonly {
        readonly secret: DisclosableSecret;
        readonly holders: readonly SecretHolder[];
      }[];
      /** Stored for the same key ID by machines that are not this person's to see. */
      readonly others: readonly DisclosableSecret[];
    }
  | {
      readonly may: false;
      readonly refusal: 'NOT_FOUND' | 'USER_REQUIRED' | 'USER_UNRELATED' | 'NOT_OWN_MACHINE';
    };

/** How far the table of roles lets somebody go with a request. */
export function grantFor(request: Pick<DisclosureRequest, 'person' | 'way' | 'target'>): Grant {
  const tpm = request.target.kind === 'TPM_OWNER_AUTH';
  // A TPM password hash never changes: end users never get it.
  if (request.way === 'own') return tpm ? 'no' : grantOf(request.person, 'own.disclose');
  return grantOf(request.person, tpm ? 'tpm.disclose' : 'key.disclose');
}

/**
 * Which of the secrets a person may see. A secret counts as a machine's only where the machine sent it
 * (its proof): a machine that merely names a volume or a key ID, or that sent another password under the
 * same key ID, opens nothing for its users.
 */
export function authorise(
  grant: Exclude<Grant, 'no'>,
  request: Pick<DisclosureRequest, 'person' | 'endUser'>,
  secrets: readonly DisclosableSecret[],
): Authorised {
  if (grant === 'named-user' && !isNamed(request.endUser)) return { may: false, refusal: 'USER_REQUIRED' };
  const seen = secrets.map((secret) => ({ secret, holders: visible(grant, request, secret.holders) }));
  const mine = grant === 'any' ? seen : seen.filter(({ holders }) => holders.length > 0);
  const others = seen.filter((one) => !mine.includes(one)).map(({ secret }) => secret);
  if (mine.length > 0) return { may: true, secrets: mine, others };
  switch (grant) {
    case 'any':
      return { may: false, refusal: 'NOT_FOUND' };
    case 'named-user':
      return { may: false, refusal: secrets.length === 0 ? 'NOT_FOUND' : 'USER_UNRELATED' };
    case 'own':
      // The same for a key that is not there: an end user learns nothing of others' keys.
      return { may: false, refusal: 'NOT_OWN_MACHINE' };
  }
}

function visible(
  grant: Exclude<Grant, 'no'>,
  { person, endUser }: Pick<DisclosureRequest, 'person' | 'endUser'>,
  holders: readonly SecretHolder[],
): readonly SecretHolder[] {
  switch (grant) {
    case 'any':
      return holders;
    case 'named-user':
      return holders.filter(({ users }) => isNamed(endUser) && users.some((user) => isUser(user, endUser)));
    case 'own':
      return holders.filter(({ users }) => users.some((user) => isPerson(user, person)));
  }
}

type LocalUser = SecretHolder['users'][number];

/** As Windows compares names, whatever their Unicode form. */
const folded = (text: string): string => text.normalize('NFC').trim().toLowerCase();

/** Whether domain and account of a user were given. */
export function isNamed(user: NamedUser | null): user is NamedUser {
  return user !== null && folded(user.domain) !== '' && folded(user.account) !== '';
}

function isUser(user: LocalUser, named: NamedUser): boolean {
  return folded(user.domain) === folded(named.domain) && folded(user.name) === folded(named.account);
}

/**
 * Whether a local sign-in was this person's: `DOMAIN\user` as domain and name; an e-mail address as name
 * and domain, or where the machine names its user by the whole address.
 */
function isPerson(user: LocalUser, person: Person): boolean {
  const backslash = /^([^\\]+)\\([^\\]+)$/.exec(person.name);
  if (backslash !== null) return isUser(user, { domain: backslash[1] ?? '', account: backslash[2] ?? '' });
  const address = /^([^@\\]+)@([^@\\]+)$/.exec(person.name);
  if (address === null) return false;
  return (
    folded(user.name) === folded(person.name) ||
    isUser(user, { domain: address[2] ?? '', account: address[1] ?? '' })
  );
}
