/**
 * The forms a setting's text can have, each with the words that tell people what is accepted.
 * A refusal names the rule, never the text: a URL may hold a password.
 */
import { z } from 'zod';
import { readSqlServerUrl, type SqlServerTarget } from './sqlserver-url.js';

/** A form: what it makes of the text, and what it accepts, in words. */
export interface Form<T> {
  readonly schema: z.ZodType<T, string>;
  readonly accepts: string;
}

/** Where a server listens. Port 0 is any free port. */
export interface Listen {
  readonly host: string;
  readonly port: number;
}

/** Turns a throwing or undefined-returning reader into a form. */
export function form<T>(accepts: string, read: (text: string) => T | undefined): Form<T> {
  const schema = z.string().transform((text, context): T => {
    const value = read(text);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: `must be ${accepts}` });
    return z.NEVER;
  });
  return { schema, accepts };
}

/** A whole number in a range, bounds included. */
export function wholeNumber(min: number, max: number, unit = ''): Form<number> {
  const accepts = `a whole number${unit === '' ? '' : ` of ${unit}`} from ${min} to ${max}`;
  return form(accepts, (text) => {
    if (!/^\d{1,15}$/.test(text)) return undefined;
    const value = Number(text);
    return value >= min && value <= max ? value : undefined;
  });
}

/** One of a few words. */
export function oneOf<T extends string>(words: readonly T[]): Form<T> {
  return form(words.map((w) => `"${w}"`).join(', '), (text) => words.find((w) => w === text));
}

/** A switch written with two words, the first of which is true. */
export function toggle(yes: string, no: string): Form<boolean> {
  return form(`"${yes}" or "${no}"`, (text) => (text === yes ? true : text === no ? false : undefined));
}

/** A path. Relative ones count from the working folder. */
export const path: Form<string> = form('a path', (text) => (text.includes('\0') ? undefined : text));

/** A short name for logs and Redis channels. */
export const shortName: Form<string> = form('1 to 64 of A-Z a-z 0-9 . _ -', (text) =>
  /^[A-Za-z0-9._-]{1,64}$/.test(text) ? text : undefined,
);

const LISTEN = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9.-]{1,253})):(\d{1,5})$/;

function readListen(text: string): Listen | undefined {
  const match = LISTEN.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65535 ? undefined : { host, port };
}

/** `host:port`, an IPv6 address in brackets. */
export const listen: Form<Listen> = form('host:port with a port from 0 to 65535 (0: any free)', readListen);

/** `host:port` or `off`. */
export const listenOrOff: Form<Listen | null> = form(
  'host:port with a port from 0 to 65535 (0: any free), or "off"',
  (text) => (text === 'off' ? null : readListen(text)),
);

/** A URL of one of these protocols (`https:`). */
export function readUrl(text: string, protocols: readonly string[]): URL | undefined {
  try {
    const url = new URL(text);
    return protocols.includes(url.protocol) ? url : undefined;
  } catch {
    return undefined;
  }
}

/** Where Redis is. */
export const redisUrl: Form<string> = form(
  'redis://host:port, rediss://host:port (TLS) or unix:///path/redis.sock',
  (text) => {
    const url = readUrl(text, ['redis:', 'rediss:', 'unix:']);
    if (url === undefined) return undefined;
    // A socket with credentials is unix://user:password@localhost/path: no URL has them without a host.
    const complete =
      url.protocol === 'unix:'
        ? ['', 'localhost'].includes(url.host) && url.pathname.length > 1
        : url.hostname !== '';
    return complete ? text : undefined;
  },
);

/** Which database is the site, as its URL says. */
export type StoreUrl =
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'mssql'; readonly target: SqlServerTarget };

const STORE_ACCEPTS = 'sqlite:<path of the file> or mssql://user@host:1433/database';

/** Where the site database is. Of an `mssql://` URL every problem is told at once. */
export const storeUrl: Form<StoreUrl> = {
  accepts: STORE_ACCEPTS,
  schema: z.string().transform((text, context): StoreUrl => {
    const refuse = (message: string): void => context.addIssue({ code: 'custom', message });
    if (text.startsWith('mssql:')) {
      const read = readSqlServerUrl(text);
      if ('target' in read) return { kind: 'mssql', target: read.target };
      read.problems.forEach(refuse);
      return z.NEVER;
    }
    const file = text.startsWith('sqlite:') ? text.slice('sqlite:'.length) : '';
    if (file !== '' && file !== ':memory:' && !file.startsWith('//')) return { kind: 'sqlite', path: file };
    refuse(`must be ${STORE_ACCEPTS}`);
    return z.NEVER;
  }),
};

/** A password or another secret; never empty. */
export const secretText: Form<string> = form('1 to 16384 characters, no line break', (text) =>
  /^[^\r\n\0]{1,16384}$/.test(text) ? text : undefined,
);

const OFFSET_UNITS = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  y: 365 * 86_400_000,
} as const;
const MAX_OFFSET_MS = 100 * OFFSET_UNITS.y;

/** A shift of the clock, such as `+5y` or `-10m`; milliseconds. */
export const clockOffset: Form<number> = form(
  '+ or -, a whole number and ms, s, m, h, d or y (365 days), at most 100y: +5y, -10m',
  (text) => {
    const match = /^([+-])(\d{1,12})(ms|s|m|h|d|y)$/.exec(text);
    if (match === null) return text === '0' ? 0 : undefined;
    const size = Number(match[2]) * OFFSET_UNITS[match[3] as keyof typeof OFFSET_UNITS];
    if (size > MAX_OFFSET_MS) return undefined;
    return match[1] === '-' && size > 0 ? -size : size;
  },
);

/** Message ids, separated by commas, in the canonical form of a GUID. */
export const messageIds: Form<readonly string[]> = form('GUIDs separated by commas', (text) => {
  const ids = text.split(',').map((id) => id.trim().toLowerCase());
  return ids.every((id) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id))
    ? Object.freeze(ids)
    : undefined;
});
