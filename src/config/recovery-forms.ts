/** Forms of the settings of the recovery service. */
import { form, type Form } from './forms.js';

/** The roles that a claim of a provider can give; the table of operations is src/recovery/roles.ts. */
export const ROLE_NAMES = [
  'helpdesk-administrator',
  'helpdesk-user',
  'report-user',
  'self-service-user',
  'operator',
  'auditor',
] as const;
export type RoleName = (typeof ROLE_NAMES)[number];

/** Which groups of a provider have which roles. */
export type GroupRoles = readonly { readonly group: string; readonly role: RoleName }[];

/** `group=role`, separated by semicolons; a group may stand more than once. `*` is everybody. */
export const groupRoles: Form<GroupRoles> = form(
  `group=role pairs separated by semicolons, e.g. BitLocker-Helpdesk=helpdesk-user;*=self-service-user; roles are ${ROLE_NAMES.join(', ')}`,
  (text) => {
    const pairs = text
      .split(';')
      .map((part) => part.trim())
      .filter((part) => part !== '')
      .map((part) => {
        const at = part.lastIndexOf('=');
        const group = part.slice(0, Math.max(0, at)).trim();
        const role = ROLE_NAMES.find((name) => name === part.slice(at + 1).trim());
        return group === '' || group.length > 256 || role === undefined ? null : { group, role };
      });
    return pairs.length > 0 && pairs.every((pair) => pair !== null) ? pairs : undefined;
  },
);

/** An origin: scheme, host, port, nothing behind. */
export const httpsOrigin: Form<string> = form('https://host or https://host:port, nothing behind', (text) => {
  try {
    const url = new URL(text);
    const bare = url.protocol === 'https:' && url.pathname === '/' && url.search === '' && url.hash === '';
    return bare && url.username === '' && url.password === '' ? url.origin : undefined;
  } catch {
    return undefined;
  }
});

/** Text that people read on a page, one line. */
export const shownText: Form<string> = form('1 to 300 characters on one line', (text) =>
  /^[^\p{Cc}]{1,300}$/u.test(text) ? text : undefined,
);

/** An address that people follow from a page. */
export const linkUrl: Form<string> = form('an https:// or mailto: URL', (text) => {
  try {
    const url = new URL(text);
    return ['https:', 'mailto:'].includes(url.protocol) && url.password === '' ? url.href : undefined;
  } catch {
    return undefined;
  }
});

/** Names of scopes or claims. */
export const claimName: Form<string> = form(
  'the name of a claim: 1 to 100 of A-Z a-z 0-9 _ . : / -',
  (text) => (/^[A-Za-z0-9_.:/-]{1,100}$/.test(text) ? text : undefined),
);

/** Scopes, separated by blanks; `openid` is one of them. */
export const scopes: Form<string> = form('scopes separated by blanks, openid among them', (text) => {
  const parts = text.split(/ +/);
  return parts.includes('openid') && parts.every((part) => /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/.test(part))
    ? parts.join(' ')
    : undefined;
});
