/** Forms of the settings that say whom a gateway believes and how much it takes. */
import { isIP } from 'node:net';
import { form, readUrl, type Form } from './forms.js';

/** Some of a few words, separated by commas; each once, one at least. */
export function someOf<T extends string>(words: readonly T[]): Form<readonly T[]> {
  return form(`one or more of ${words.map((w) => `"${w}"`).join(', ')}, separated by commas`, (text) => {
    const parts = text.split(',').map((part) => part.trim());
    const known = words.filter((word) => parts.includes(word));
    return known.length > 0 && known.length === parts.length ? known : undefined;
  });
}

/** Paths, separated by commas. */
export const paths: Form<readonly string[]> = form('paths separated by commas', (text) => {
  const parts = text.split(',').map((part) => part.trim());
  return parts.some((part) => part === '' || part.includes('\0')) ? undefined : parts;
});

/** A range of IP addresses. */
export interface AddressRange {
  readonly family: 'ipv4' | 'ipv6';
  readonly address: string;
  readonly prefix: number;
}

/** Addresses and ranges in CIDR notation. */
export const addressRanges: Form<readonly AddressRange[]> = form(
  'IP addresses or CIDR ranges separated by commas, e.g. 10.0.0.5,10.1.0.0/24,fd00::/64',
  (text) => {
    const ranges = text.split(',').map((part) => readRange(part.trim()));
    return ranges.every((range) => range !== undefined) ? ranges : undefined;
  },
);

function readRange(text: string): AddressRange | undefined {
  const match = /^([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(text);
  const address = match?.[1] ?? '';
  const version = isIP(address);
  if (version === 0) return undefined;
  const most = version === 4 ? 32 : 128;
  const prefix = match?.[2] === undefined ? most : Number(match[2]);
  // A list that names everybody would let everybody claim any identity.
  if (prefix < 1 || prefix > most) return undefined;
  return { family: version === 4 ? 'ipv4' : 'ipv6', address, prefix };
}

/** So many a second in the long run, and so many at once; null: off. */
export const rateLimit: Form<{ readonly perSecond: number; readonly burst: number } | null> = form(
  'requests a second, "+" and a burst, e.g. 20/s+1000, or "off"',
  (text) => {
    if (text === 'off') return null;
    const match = /^(\d{1,6}(?:\.\d{1,3})?)\/s\+(\d{1,7})$/.exec(text);
    const perSecond = Number(match?.[1]);
    const burst = Number(match?.[2]);
    return perSecond > 0 && burst > 0 ? { perSecond, burst } : undefined;
  },
);

/** An address that is fetched over TLS. */
export const httpsUrl: Form<string> = form('an https:// URL without credentials', (text) => {
  const url = readUrl(text, ['https:']);
  return url === undefined || url.hostname === '' || url.username !== '' || url.password !== ''
    ? undefined
    : text;
});

/** A GUID in its canonical form. */
export const guidText: Form<string> = form('a GUID', (text) => {
  const lower = text.toLowerCase();
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(lower) ? lower : undefined;
});

/** Text that is compared as it is. */
export const exactText: Form<string> = form('1 to 200 printable characters without blanks', (text) =>
  /^[\x21-\x7e]{1,200}$/.test(text) ? text : undefined,
);
