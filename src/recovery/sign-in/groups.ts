import type { GroupRoles } from '../../config/index.js';
import { ROLES, type Role } from '../roles.js';

/** Groups that are looked at; providers send links in place of more. */
const MAX_GROUPS = 1000;

/** The roles that groups give, in the order of the roles. `*` is everybody. */
export function rolesOfGroups(groups: readonly string[], map: GroupRoles): readonly Role[] {
  const named = new Set(groups.slice(0, MAX_GROUPS));
  const given = map.filter(({ group }) => group === '*' || named.has(group)).map(({ role }) => role);
  return ROLES.filter((role) => given.includes(role));
}

/** A claim that lists groups: an array of texts, or one text. Anything else is none. */
export function groupsOf(claim: unknown): readonly string[] {
  if (typeof claim === 'string') return [claim];
  if (!Array.isArray(claim)) return [];
  return claim.filter((one): one is string => typeof one === 'string');
}

/** A claim that names a person: printable, at most 256 characters; null for anything else. */
export function nameOf(claim: unknown): string | null {
  if (typeof claim !== 'string') return null;
  const name = claim.trim();
  return /^[^\p{Cc}\p{Cf}]{1,256}$/u.test(name) ? name : null;
}
