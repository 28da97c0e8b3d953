/** The settings of disclosure and audit; a part of the table in settings.ts. */
import { join, resolve } from 'node:path';
import type { z } from 'zod';
import { form, path, secretText, wholeNumber, type Form, type Listen } from './forms.js';
import { httpsUrl } from './gateway-forms.js';
import { setting } from './setting.js';

/** `host:port`, where a name is resolved when it is used. */
const target: Form<Listen> = form('host:port with a port from 1 to 65535', (text) => {
  const match = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9.-]{1,253})):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port < 1 || port > 65535 ? undefined : { host, port };
});

export const AUDIT_SETTINGS = {
  MPE_DISCLOSURES_PER_HOUR: setting({
    form: wholeNumber(1, 100_000, 'keys'),
    fallback: '30',
    about:
      'Keys that one person of the helpdesk may be shown in an hour; an incident lifts it for its machines.',
  }),
  MPE_SELF_DISCLOSURES_PER_HOUR: setting({
    form: wholeNumber(1, 100_000, 'keys'),
    fallback: '5',
    about: 'Keys of their own machines that one person may be shown in an hour by self-service.',
  }),
  MPE_AUDIT_CHECKPOINTS: setting({
    form: path,
    fallback: null,
    defaultNote: '<MPE_HOME>/audit-checkpoints.jws',
    about:
      'File of signed checkpoints of the audit, one a line; keep it where no administrator of the database writes.',
  }),
  MPE_AUDIT_CHECKPOINT_MINUTES: setting({
    form: wholeNumber(1, 10_080, 'minutes'),
    fallback: '60',
    about:
      'How often the recovery service signs a checkpoint, where something was written since the last one.',
  }),
  MPE_AUDIT_SYSLOG: setting({
    form: target,
    fallback: null,
    defaultNote: 'none',
    about: 'Collector that gets each audit row as RFC 5424 syslog over TLS (RFC 5425; usual port 6514).',
  }),
  MPE_AUDIT_SYSLOG_CA: setting({
    form: path,
    fallback: null,
    defaultNote: 'those of Node.js',
    about: 'PEM file of the CAs that the collector is verified against.',
  }),
  MPE_AUDIT_SYSLOG_CERT: setting({
    form: path,
    fallback: null,
    defaultNote: 'none',
    about: 'PEM file with the certificate that the service shows to the collector.',
  }),
  MPE_AUDIT_SYSLOG_KEY: setting({
    form: path,
    fallback: null,
    defaultNote: 'none',
    about: 'PEM file with the private key of that certificate.',
  }),
  MPE_AUDIT_HTTPS: setting({
    form: httpsUrl,
    fallback: null,
    defaultNote: 'none',
    about: 'Collector that gets audit rows as JSON by POST.',
  }),
  MPE_AUDIT_HTTPS_CA: setting({
    form: path,
    fallback: null,
    defaultNote: 'those of Node.js',
    about: 'PEM file of the CAs that this collector is verified against.',
  }),
  MPE_AUDIT_HTTPS_TOKEN: setting({
    form: secretText,
    fallback: null,
    defaultNote: 'none',
    about: 'Sent to this collector as `Authorization: Bearer`.',
    byFile: true,
  }),
} as const;

/** What disclosure and audit are configured by. */
export interface AuditSettings {
  readonly limits: { readonly helpdeskPerHour: number; readonly ownPerHour: number };
  readonly checkpoints: { readonly path: string; readonly everyMs: number };
  readonly syslog: {
    readonly to: Listen;
    readonly ca: string | null;
    readonly client: { readonly cert: string; readonly key: string } | null;
  } | null;
  readonly https: { readonly url: string; readonly ca: string | null; readonly token: string | null } | null;
}

type Names = keyof typeof AUDIT_SETTINGS;
type Value<N extends Names> = z.output<(typeof AUDIT_SETTINGS)[N]['form']['schema']>;
type Read = <N extends Names>(name: N) => Value<N> | null;
type Need = <N extends Names>(name: N) => Value<N>;

/** The settings together; what they lack together is added to `problems`. */
export function auditOf(read: Read, need: Need, home: string, problems: string[]): AuditSettings {
  const file = (
    name: 'MPE_AUDIT_SYSLOG_CA' | 'MPE_AUDIT_HTTPS_CA' | 'MPE_AUDIT_SYSLOG_CERT' | 'MPE_AUDIT_SYSLOG_KEY',
  ) => {
    const given = read(name);
    return given === null ? null : resolve(given);
  };
  const cert = file('MPE_AUDIT_SYSLOG_CERT');
  const key = file('MPE_AUDIT_SYSLOG_KEY');
  if ((cert === null) !== (key === null))
    problems.push('MPE_AUDIT_SYSLOG_CERT and MPE_AUDIT_SYSLOG_KEY are set together or not at all');
  const to = read('MPE_AUDIT_SYSLOG');
  const url = read('MPE_AUDIT_HTTPS');
  return {
    limits: {
      helpdeskPerHour: need('MPE_DISCLOSURES_PER_HOUR'),
      ownPerHour: need('MPE_SELF_DISCLOSURES_PER_HOUR'),
    },
    checkpoints: {
      path: resolve(read('MPE_AUDIT_CHECKPOINTS') ?? join(home, 'audit-checkpoints.jws')),
      everyMs: 60_000 * need('MPE_AUDIT_CHECKPOINT_MINUTES'),
    },
    syslog:
      to === null
        ? null
        : {
            to,
            ca: file('MPE_AUDIT_SYSLOG_CA'),
            client: cert === null || key === null ? null : { cert, key },
          },
    https:
      url === null ? null : { url, ca: file('MPE_AUDIT_HTTPS_CA'), token: read('MPE_AUDIT_HTTPS_TOKEN') },
  };
}
