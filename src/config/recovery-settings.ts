/** The settings of the recovery service's HTTP side; a part of the table in settings.ts. */
import { resolve } from 'node:path';
import type { z } from 'zod';
import { listenOrOff, oneOf, path, secretText, toggle, wholeNumber, type Listen } from './forms.js';
import { addressRanges, exactText, httpsUrl, rateLimit, someOf, type AddressRange } from './gateway-forms.js';
import {
  claimName,
  groupRoles,
  httpsOrigin,
  linkUrl,
  scopes,
  shownText,
  type GroupRoles,
} from './recovery-forms.js';
import { setting } from './setting.js';

/** How people may sign in. */
export const SIGN_IN_WAYS = ['local', 'oidc'] as const;
/** Interfaces of other products that are answered. */
export const COMPATIBLE = ['adminservice', 'mbam'] as const;

export const RECOVERY_SETTINGS = {
  MPE_RECOVERY_LISTEN: setting({
    form: listenOrOff,
    fallback: 'off',
    about: 'Where the portals and the recovery API are served; off: none of them.',
  }),
  MPE_RECOVERY_URL: setting({
    form: httpsOrigin,
    fallback: null,
    defaultNote: 'https://<MPE_RECOVERY_LISTEN>',
    about: 'The origin under which people reach the service; forms from any other origin are refused.',
  }),
  MPE_RECOVERY_TLS: setting({
    form: toggle('on', 'off'),
    fallback: 'on',
    about: 'Off only behind a proxy that ends TLS; people must reach it by https:// all the same.',
  }),
  MPE_RECOVERY_TLS_KEY: setting({
    form: path,
    fallback: null,
    defaultNote: 'none',
    about: 'PEM file with the private key of the service’s TLS certificate; read by its owner alone.',
  }),
  MPE_RECOVERY_TLS_CERT: setting({
    form: path,
    fallback: null,
    defaultNote: 'none',
    about: 'PEM file with the service’s TLS certificate and its intermediates.',
  }),
  MPE_RECOVERY_PROXIES: setting({
    form: addressRanges,
    fallback: null,
    defaultNote: 'none',
    about: 'Proxies in front of the service: believed when they forward an address.',
  }),
  MPE_RECOVERY_LIMIT_ADDRESS: setting({
    form: rateLimit,
    fallback: '20/s+200',
    about: 'Requests of one address (an IPv6 /64) to the service; beyond that 429.',
  }),
  MPE_RECOVERY_SIGN_IN: setting({
    form: someOf(SIGN_IN_WAYS),
    fallback: 'local',
    about: 'How people sign in: local accounts (`mpe accounts`), OpenID Connect, or both.',
  }),
  MPE_RECOVERY_OIDC_ISSUER: setting({
    form: httpsUrl,
    fallback: null,
    defaultNote: 'none',
    about: 'Issuer of the OpenID provider; its configuration is read from there.',
  }),
  MPE_RECOVERY_OIDC_CLIENT_ID: setting({
    form: exactText,
    fallback: null,
    defaultNote: 'none',
    about: 'Client id that the provider gave to the service.',
  }),
  MPE_RECOVERY_OIDC_CLIENT_SECRET: setting({
    form: secretText,
    fallback: null,
    defaultNote: 'none',
    about: 'Client secret that the provider gave to the service.',
    byFile: true,
  }),
  MPE_RECOVERY_OIDC_CA: setting({
    form: path,
    fallback: null,
    defaultNote: 'those of Node.js',
    about: 'PEM file of the CAs that the provider’s address is verified against.',
  }),
  MPE_RECOVERY_OIDC_SCOPES: setting({
    form: scopes,
    fallback: 'openid profile email',
    about: 'Scopes that a sign-in asks for.',
  }),
  MPE_RECOVERY_OIDC_NAME_CLAIM: setting({
    form: claimName,
    fallback: 'preferred_username',
    about: 'Claim that names a person as machines and audit name them: DOMAIN\\user or user@domain.',
  }),
  MPE_RECOVERY_OIDC_GROUPS_CLAIM: setting({
    form: claimName,
    fallback: 'groups',
    about: 'Claim that lists a person’s groups.',
  }),
  MPE_RECOVERY_OIDC_ROLES: setting({
    form: groupRoles,
    fallback: null,
    defaultNote: 'none',
    about: 'Roles of groups; `*` is everybody whom the provider signs in.',
  }),
  MPE_RECOVERY_OIDC_MINUTES: setting({
    form: wholeNumber(5, 1440, 'minutes'),
    fallback: '60',
    about:
      'A session by OpenID Connect ends after this time, so that the provider is asked for name and groups again.',
  }),
  MPE_RECOVERY_OIDC_AUDIENCE: setting({
    form: exactText,
    fallback: null,
    defaultNote: 'none: access tokens are not taken',
    about: 'Audience that access tokens of API clients must name; another than the client id.',
  }),
  MPE_RECOVERY_SESSION_MINUTES: setting({
    form: wholeNumber(1, 480, 'minutes'),
    fallback: '15',
    about: 'A helpdesk session without a request ends after this time.',
  }),
  MPE_RECOVERY_SESSION_HOURS: setting({
    form: wholeNumber(1, 24, 'hours'),
    fallback: '8',
    about: 'Any session ends after this time.',
  }),
  MPE_RECOVERY_SELF_SERVICE: setting({
    form: toggle('on', 'off'),
    fallback: 'on',
    about: 'The self-service portal.',
  }),
  MPE_RECOVERY_SELF_SERVICE_MINUTES: setting({
    form: wholeNumber(1, 60, 'minutes'),
    fallback: '5',
    about:
      'A self-service session without a request ends after this time; 60 seconds before, people are warned.',
  }),
  MPE_RECOVERY_KEY_SECONDS: setting({
    form: wholeNumber(15, 3600, 'seconds'),
    fallback: '120',
    about: 'How long a page shows a key before it hides it.',
  }),
  MPE_RECOVERY_COMPANY: setting({
    form: shownText,
    fallback: 'BitLocker recovery',
    about: 'Name at the head of every page.',
  }),
  MPE_RECOVERY_NOTICE: setting({
    form: path,
    fallback: null,
    defaultNote: 'none',
    about: 'Text file with the notice that people accept before self-service.',
  }),
  MPE_RECOVERY_HELPDESK_TEXT: setting({
    form: shownText,
    fallback: 'Ask your helpdesk',
    about: 'What people do who cannot help themselves.',
  }),
  MPE_RECOVERY_HELPDESK_URL: setting({
    form: linkUrl,
    fallback: null,
    defaultNote: 'none',
    about: 'Where that text leads.',
  }),
  MPE_RECOVERY_BREAK_GLASS: setting({
    form: oneOf(['off', 'allowed'] as const),
    fallback: 'off',
    about: 'Whether `mpe break-glass arm` may let somebody in while the provider is down.',
  }),
  MPE_RECOVERY_COMPATIBLE: setting({
    form: someOf(COMPATIBLE),
    fallback: null,
    defaultNote: 'none',
    about: 'Interfaces of other products that the service answers.',
  }),
} as const;

/** What signs people in by OpenID Connect, and what access tokens must be. */
export interface OidcSettings {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** PEM file; null: the CAs of Node.js. */
  readonly ca: string | null;
  readonly scopes: string;
  readonly nameClaim: string;
  readonly groupsClaim: string;
  readonly roles: GroupRoles;
  /** How long what the provider said of a person counts. */
  readonly rolesMs: number;
  /** null: access tokens are not taken. */
  readonly audience: string | null;
}

/** The HTTP side of the recovery service. */
export interface RecoveryServiceSettings {
  /** null: off. */
  readonly listen: Listen | null;
  /** null: the address that it listens on. */
  readonly url: string | null;
  readonly tls: { readonly key: string; readonly cert: string } | null;
  readonly proxies: readonly AddressRange[];
  readonly limitAddress: { readonly perSecond: number; readonly burst: number } | null;
  readonly local: boolean;
  readonly oidc: OidcSettings | null;
  readonly idleMs: number;
  readonly absoluteMs: number;
  readonly selfService: { readonly on: boolean; readonly idleMs: number };
  readonly keySeconds: number;
  readonly branding: {
    readonly company: string;
    /** A file; null: no notice. */
    readonly notice: string | null;
    readonly helpdeskText: string;
    readonly helpdeskUrl: string | null;
  };
  readonly breakGlass: boolean;
  readonly compatible: readonly (typeof COMPATIBLE)[number][];
}

type Names = keyof typeof RECOVERY_SETTINGS;
type Value<N extends Names> = z.output<(typeof RECOVERY_SETTINGS)[N]['form']['schema']>;
/** Reads one of the settings: its value, or null where it is absent. */
export type ReadSetting = <N extends Names>(name: N) => Value<N> | null;
/** Reads one that has a default. */
export type NeedSetting = <N extends Names>(name: N) => Value<N>;

/** The settings together; what they lack together is added to `problems`. */
export function recoveryServiceOf(
  read: ReadSetting,
  need: NeedSetting,
  problems: string[],
): RecoveryServiceSettings {
  const listen = need('MPE_RECOVERY_LISTEN');
  const ways = need('MPE_RECOVERY_SIGN_IN');
  const tls = need('MPE_RECOVERY_TLS');
  const key = read('MPE_RECOVERY_TLS_KEY');
  const cert = read('MPE_RECOVERY_TLS_CERT');
  if (listen !== null && tls && (key === null || cert === null)) {
    problems.push(
      'MPE_RECOVERY_LISTEN is set: set MPE_RECOVERY_TLS_KEY and MPE_RECOVERY_TLS_CERT, or MPE_RECOVERY_TLS=off behind a proxy that ends TLS',
    );
  }
  if (listen !== null && !tls && read('MPE_RECOVERY_URL') === null) {
    problems.push('MPE_RECOVERY_TLS=off needs MPE_RECOVERY_URL: the https:// origin that the proxy answers');
  }
  const oidc = oidcOf(read, need);
  if (listen !== null && ways.includes('oidc') && oidc === null) {
    problems.push(
      'MPE_RECOVERY_SIGN_IN names oidc; set MPE_RECOVERY_OIDC_ISSUER, MPE_RECOVERY_OIDC_CLIENT_ID, MPE_RECOVERY_OIDC_CLIENT_SECRET and MPE_RECOVERY_OIDC_ROLES',
    );
  }
  const audience = read('MPE_RECOVERY_OIDC_AUDIENCE');
  if (audience !== null && audience === read('MPE_RECOVERY_OIDC_CLIENT_ID')) {
    problems.push(
      'MPE_RECOVERY_OIDC_AUDIENCE is MPE_RECOVERY_OIDC_CLIENT_ID: ID tokens of sign-ins would be taken as access tokens; give the API an audience of its own',
    );
  }
  const notice = read('MPE_RECOVERY_NOTICE');
  return {
    listen,
    url: read('MPE_RECOVERY_URL'),
    tls: tls && key !== null && cert !== null ? { key: resolve(key), cert: resolve(cert) } : null,
    proxies: read('MPE_RECOVERY_PROXIES') ?? [],
    limitAddress: read('MPE_RECOVERY_LIMIT_ADDRESS'),
    local: ways.includes('local'),
    oidc: ways.includes('oidc') ? oidc : null,
    idleMs: 60_000 * need('MPE_RECOVERY_SESSION_MINUTES'),
    absoluteMs: 3_600_000 * need('MPE_RECOVERY_SESSION_HOURS'),
    selfService: {
      on: need('MPE_RECOVERY_SELF_SERVICE'),
      idleMs: 60_000 * need('MPE_RECOVERY_SELF_SERVICE_MINUTES'),
    },
    keySeconds: need('MPE_RECOVERY_KEY_SECONDS'),
    branding: {
      company: need('MPE_RECOVERY_COMPANY'),
      notice: notice === null ? null : resolve(notice),
      helpdeskText: need('MPE_RECOVERY_HELPDESK_TEXT'),
      helpdeskUrl: read('MPE_RECOVERY_HELPDESK_URL'),
    },
    breakGlass: need('MPE_RECOVERY_BREAK_GLASS') === 'allowed',
    compatible: read('MPE_RECOVERY_COMPATIBLE') ?? [],
  };
}

function oidcOf(read: ReadSetting, need: NeedSetting): OidcSettings | null {
  const issuer = read('MPE_RECOVERY_OIDC_ISSUER');
  const clientId = read('MPE_RECOVERY_OIDC_CLIENT_ID');
  const clientSecret = read('MPE_RECOVERY_OIDC_CLIENT_SECRET');
  const roles = read('MPE_RECOVERY_OIDC_ROLES');
  if (issuer === null || clientId === null || clientSecret === null || roles === null) return null;
  const ca = read('MPE_RECOVERY_OIDC_CA');
  return {
    issuer,
    clientId,
    clientSecret,
    roles,
    ca: ca === null ? null : resolve(ca),
    scopes: need('MPE_RECOVERY_OIDC_SCOPES'),
    nameClaim: need('MPE_RECOVERY_OIDC_NAME_CLAIM'),
    groupsClaim: need('MPE_RECOVERY_OIDC_GROUPS_CLAIM'),
    rolesMs: 60_000 * need('MPE_RECOVERY_OIDC_MINUTES'),
    audience: read('MPE_RECOVERY_OIDC_AUDIENCE'),
  };
}
