/**
 * Every setting there is: name, default, form, meaning. docs/configuration.md holds the same table,
 * and a test compares the two. Add a line here first, then its place in `Config`.
 */
import {
  clockOffset,
  listen,
  listenOrOff,
  messageIds,
  oneOf,
  path,
  redisUrl,
  secretText,
  shortName,
  storeUrl,
  toggle,
  wholeNumber,
} from './forms.js';
import { addressRanges, exactText, guidText, httpsUrl, paths, rateLimit, someOf } from './gateway-forms.js';
import { AUDIT_SETTINGS } from './audit-settings.js';
import { RECOVERY_SETTINGS } from './recovery-settings.js';
import { setting } from './setting.js';

export type { Setting } from './setting.js';

/** How clients may show who they are. */
export const CHANNEL_METHODS = [
  'site-token',
  'client-certificate',
  'forwarded-certificate',
  'entra',
] as const;
export type ChannelMethod = (typeof CHANNEL_METHODS)[number];

/** What registers a client. */
export const REGISTRATION_WAYS = [
  'token',
  'client-certificate',
  'entra',
  'channel-renewal',
  'approval',
] as const;
export type RegistrationWay = (typeof REGISTRATION_WAYS)[number];

/** Log levels, most talkative first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The table. */
export const SETTINGS = {
  MPE_HOME: setting({
    form: path,
    fallback: './mpe-data',
    about: 'Folder under which the database and the key folder lie by default.',
  }),
  MPE_STORE_URL: setting({
    form: storeUrl,
    fallback: null,
    defaultNote: 'sqlite:<MPE_HOME>/site.db',
    about: 'The site database.',
    byFile: true,
  }),
  MPE_STORE_PASSWORD: setting({
    form: secretText,
    fallback: null,
    defaultNote: 'none',
    about: 'Password, client secret or access token of the login to SQL Server, instead of in the URL.',
    byFile: true,
  }),
  MPE_STORE_POOL_MAX: setting({
    form: wholeNumber(1, 1_000, 'connections'),
    fallback: null,
    defaultNote: 'the concurrency of a worker, else 10',
    about: 'Connections a process opens to SQL Server at most; a worker refuses fewer than its concurrency.',
  }),
  MPE_KEYS_DIR: setting({
    form: path,
    fallback: null,
    defaultNote: '<MPE_HOME>/keys',
    about: 'The key folder that `mpe site init` made, or the part of it that this host needs.',
  }),
  MPE_REDIS_URL: setting({
    form: redisUrl,
    fallback: 'redis://127.0.0.1:6379',
    about: 'The Redis that holds the queue.',
    byFile: true,
  }),
  MPE_REDIS_ALLOW_UNSAFE: setting({
    form: toggle('1', '0'),
    fallback: '0',
    about: 'Start although Redis may lose or evict accepted messages; warns.',
  }),
  MPE_QUEUE_HIGH_WATER: setting({
    form: wholeNumber(1, 10_000_000, 'jobs'),
    fallback: '100000',
    about: 'Waiting jobs from which on the gateway answers 503.',
  }),
  MPE_QUEUE_LOCK_MS: setting({
    form: wholeNumber(500, 600_000, 'milliseconds'),
    fallback: '10000',
    about: 'How long a job stays with a worker that does not renew its lock.',
  }),
  MPE_QUEUE_STALLED_MS: setting({
    form: wholeNumber(100, 600_000, 'milliseconds'),
    fallback: '5000',
    about: 'How often workers look for jobs whose worker is gone.',
  }),
  MPE_GATEWAY_ID: setting({
    form: shortName,
    fallback: null,
    defaultNote: '<host name>-<process id>',
    about: 'Name of this gateway in logs and of its reply channel; two gateways never share one.',
  }),
  MPE_GATEWAY_LISTEN: setting({
    form: listen,
    fallback: '0.0.0.0:8443',
    about: 'Where clients connect.',
  }),
  MPE_GATEWAY_OPS_LISTEN: setting({
    form: listenOrOff,
    fallback: '127.0.0.1:9464',
    about: 'Health, readiness and metrics of the gateway.',
  }),
  MPE_GATEWAY_TLS: setting({
    form: toggle('on', 'off'),
    fallback: 'on',
    about: 'Off only behind a proxy that speaks TLS with the site’s certificate.',
  }),
  MPE_GATEWAY_MAX_IN_FLIGHT: setting({
    form: wholeNumber(1, 100_000, 'requests'),
    fallback: '2000',
    about: 'Requests a gateway works on at once; beyond that it answers 503.',
  }),
  MPE_GATEWAY_MAX_CONNECTIONS: setting({
    form: wholeNumber(1, 1_000_000, 'connections'),
    fallback: '10000',
    about: 'Open connections a gateway keeps.',
  }),
  MPE_GATEWAY_CONNECTIONS_PER_ADDRESS: setting({
    form: wholeNumber(1, 1_000_000, 'connections'),
    fallback: '1000',
    about: 'Open connections a gateway keeps with one address (an IPv6 /64); listed proxies are exempt.',
  }),
  MPE_GATEWAY_AUTH: setting({
    form: someOf(CHANNEL_METHODS),
    fallback: 'site-token',
    about: 'How clients may show who they are; see “Channels” on the operator page.',
  }),
  MPE_GATEWAY_CLIENT_CA: setting({
    form: paths,
    fallback: null,
    defaultNote: 'none',
    about:
      'PEM files of the CAs that issue client certificates: roots, and intermediates that clients do not send.',
  }),
  MPE_GATEWAY_CLIENT_CRL: setting({
    form: paths,
    fallback: null,
    defaultNote: 'none',
    about:
      'Revocation lists (PEM or DER), one of every CA below which certificates are issued; read again when they change. None: revocation is not checked.',
  }),
  MPE_GATEWAY_CLIENT_CRL_FAILURE: setting({
    form: oneOf(['refuse', 'accept'] as const),
    fallback: 'refuse',
    about:
      'What becomes of certificates whose list is missing, unreadable or out of date: refuse (503), or accept by the last good list; both are logged.',
  }),
  MPE_GATEWAY_PROXIES: setting({
    form: addressRanges,
    fallback: null,
    defaultNote: 'none',
    about:
      'Proxies in front of the gateway: believed when they forward an address or a certificate, exempt from limits by address.',
  }),
  MPE_GATEWAY_ENTRA_TENANT: setting({
    form: guidText,
    fallback: null,
    defaultNote: 'none',
    about: 'Tenant id that device tokens must name.',
  }),
  MPE_GATEWAY_ENTRA_AUDIENCE: setting({
    form: exactText,
    fallback: null,
    defaultNote: 'none',
    about: 'Audience that device tokens must name: the application id or its URI.',
  }),
  MPE_GATEWAY_ENTRA_ISSUER: setting({
    form: httpsUrl,
    fallback: null,
    defaultNote: 'https://login.microsoftonline.com/<tenant>/v2.0',
    about: 'Issuer that device tokens must name, exactly.',
  }),
  MPE_GATEWAY_ENTRA_KEYS_URL: setting({
    form: httpsUrl,
    fallback: null,
    defaultNote: 'https://login.microsoftonline.com/<tenant>/discovery/v2.0/keys',
    about: 'Where the issuer publishes its signing keys (JWKS).',
  }),
  MPE_GATEWAY_ENTRA_CA: setting({
    form: path,
    fallback: null,
    defaultNote: 'those of Node.js',
    about: 'PEM file of the CAs that the address of the signing keys is verified against.',
  }),
  MPE_GATEWAY_LIMIT_CLIENT: setting({
    form: rateLimit,
    fallback: '20/s+1000',
    about: 'Requests of one client, over all gateways; beyond that 429.',
  }),
  MPE_GATEWAY_LIMIT_ADDRESS: setting({
    form: rateLimit,
    fallback: '500/s+5000',
    about: 'Requests of one address (an IPv6 /64), over all gateways; many machines may share one.',
  }),
  MPE_GATEWAY_LIMIT_REGISTRATION: setting({
    form: rateLimit,
    fallback: '50/s+1000',
    about: 'Registrations from one address, over all gateways.',
  }),
  MPE_WORKER_OPS_LISTEN: setting({
    form: listenOrOff,
    fallback: 'off',
    about: 'Health, readiness and metrics of a worker; with several on a host use port 0.',
  }),
  MPE_WORKER_CONCURRENCY: setting({
    form: wholeNumber(1, 1_000, 'messages'),
    fallback: '64',
    about: 'Messages a worker process works on at once (`--concurrency`).',
  }),
  MPE_WORKER_PROCESSES: setting({
    form: wholeNumber(1, 256, 'processes'),
    fallback: '1',
    about: 'Worker processes that `mpe worker` and `mpe up` start (`--processes`).',
  }),
  MPE_WORKER_GROUP_MAX: setting({
    form: wholeNumber(1, 1_000, 'messages'),
    fallback: '64',
    about: 'Messages committed in one transaction at most.',
  }),
  MPE_WORKER_DRAIN_MS: setting({
    form: wholeNumber(0, 600_000, 'milliseconds'),
    fallback: '20000',
    about: 'How long a process may finish its work after SIGTERM; keep it 10 s below the grace time.',
  }),
  MPE_REGISTRATION: setting({
    form: someOf(REGISTRATION_WAYS),
    fallback: 'token,client-certificate,entra',
    about: 'What registers a client; the same for every worker; see “New clients” on the operator page.',
  }),
  MPE_REGISTRATION_PENDING_MAX: setting({
    form: wholeNumber(0, 1_000_000, 'registrations'),
    fallback: '10000',
    about: 'Registrations that may wait for an operator.',
  }),
  MPE_RECOVERY_OPS_LISTEN: setting({
    form: listenOrOff,
    fallback: '127.0.0.1:9465',
    about: 'Health, readiness and metrics of the recovery service.',
  }),
  MPE_RECOVERY_CANARY_SECONDS: setting({
    form: wholeNumber(1, 3_600, 'seconds'),
    fallback: '60',
    about: 'How often the recovery service opens new data keys, new secrets and a sample of all secrets.',
  }),
  MPE_RECOVERY_CANARY_SAMPLE: setting({
    form: wholeNumber(1, 100_000, 'secrets'),
    fallback: '500',
    about: 'Secrets of the rolling sample that a round opens, beside the new ones.',
  }),
  MPE_RECOVERY_ROTATION_SECONDS: setting({
    form: wholeNumber(1, 3_600, 'seconds'),
    fallback: '30',
    about:
      'How often the recovery service looks for rotations whose evidence holds, and counts the open ones.',
  }),
  MPE_RECOVERY_ROTATION_DEADLINE_HOURS: setting({
    form: wholeNumber(1, 8_760, 'hours'),
    fallback: '168',
    about: 'An exposed key that is not replaced after this time is overdue.',
  }),
  ...RECOVERY_SETTINGS,
  ...AUDIT_SETTINGS,
  MPE_QUARANTINE_MAX: setting({
    form: wholeNumber(0, 100_000_000, 'messages'),
    fallback: '100000',
    about: 'Messages kept in quarantine at most.',
  }),
  MPE_DEAD_LETTER_MAX: setting({
    form: wholeNumber(0, 100_000_000, 'messages'),
    fallback: '100000',
    about: 'Dead letters that keep their sealed text at most.',
  }),
  MPE_OUTCOME_RETENTION_DAYS: setting({
    form: wholeNumber(30, 36_500, 'days'),
    fallback: '90',
    about: 'How long outcomes of messages can be asked for.',
  }),
  MPE_LOG_LEVEL: setting({
    form: oneOf(LOG_LEVELS),
    fallback: 'info',
    about: 'Least severe level that is logged; debug and trace also print stacks of command errors.',
  }),
  MPE_CLIENT_HOME: setting({
    form: path,
    fallback: './mpe-client',
    about: 'State folder of the reference client.',
  }),
  MPE_CLIENT_CERTIFICATE: setting({
    form: path,
    fallback: null,
    defaultNote: 'none',
    about: 'PEM file with the certificate (and intermediates) that the reference client shows.',
  }),
  MPE_CLIENT_CERTIFICATE_KEY: setting({
    form: path,
    fallback: null,
    defaultNote: 'none',
    about: 'PEM file with the private key of that certificate.',
  }),
  MPE_CLIENT_DEVICE_TOKEN: setting({
    form: path,
    fallback: null,
    defaultNote: 'none',
    about: 'File with the Entra device token that the reference client sends; read again for each new token.',
  }),
  MPE_TEST_CLOCK_OFFSET: setting({
    form: clockOffset,
    fallback: '0',
    about: 'Shifts the clock.',
    testSitesOnly: true,
  }),
  MPE_TEST_POISON: setting({
    form: messageIds,
    fallback: null,
    defaultNote: 'none',
    about: 'Message ids that abort the worker that handles them.',
    testSitesOnly: true,
  }),
  MPE_TEST_SQLSERVER_URL: setting({
    form: storeUrl,
    fallback: null,
    defaultNote: 'none',
    about: 'SQL Server for the store’s tests; read by the tests alone.',
  }),
} as const;

/** Name of a setting. */
export type SettingName = keyof typeof SETTINGS;
