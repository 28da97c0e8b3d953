import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SiteDocument } from '../protocol/site-document.js';
import type { CertificatePublic } from './certificate.js';
import { readPublicCertificates } from './held-certificates.js';
import { KEY_FILES } from './key-files.js';

const DAY_MS = 86_400_000;

/** Also by the names that OpenSSL takes for it. */
const PEM_CERTIFICATES = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[\s\S]+?-----END \1-----/g;

/** From so many days before on, expiry is announced. */
const NOTICE_DAYS = [1, 7, 30] as const;

/** What comes to an end: a word of events and metrics. */
export type ExpiringThing = 'site_document' | 'certificate' | 'gateway_tls' | 'recovery_tls';

/** Something that ends. */
export interface Expiring {
  readonly thing: ExpiringThing;
  /** Changes when it is renewed. */
  readonly id: string;
  readonly expiresAtMs: number;
}

/** What is to be said of an end. */
export interface ExpiryNotice {
  /** The nearest of 30, 7 and 1 days; 0 where it has expired. */
  readonly withinDays: 30 | 7 | 1 | 0;
  readonly text: string;
}

const WORDS = {
  site_document: {
    name: 'the site document',
    since: '; clients still use it',
    renew: 'renew it: mpe site publish',
  },
  certificate: {
    name: 'the BitLocker management encryption certificate',
    since: '',
    renew:
      'everything stays readable; change it: mpe certificate create on the recovery host, then mpe certificate rotate',
  },
  gateway_tls: {
    name: "the gateway's TLS certificate",
    since: '; clients of the site only warn, proxies and browsers refuse it',
    renew: 'have the site CA sign a new one, put it into gateway/',
  },
  recovery_tls: {
    name: "the recovery service's TLS certificate",
    since: '; proxies and browsers refuse it',
    renew: 'put a new one where MPE_RECOVERY_TLS_CERT names it, and start mpe recovery again',
  },
} as const satisfies Record<ExpiringThing, Readonly<Record<'name' | 'since' | 'renew', string>>>;

/** The notice that is due; null more than 30 days before. An end only warns, everywhere. */
export function expiryNotice(
  { thing, expiresAtMs }: Pick<Expiring, 'thing' | 'expiresAtMs'>,
  nowMs: number,
): ExpiryNotice | null {
  const { name, since, renew } = WORDS[thing];
  const leftMs = expiresAtMs - nowMs;
  if (leftMs <= 0) return { withinDays: 0, text: `${name} has expired${since}; ${renew}` };
  const withinDays = NOTICE_DAYS.find((days) => leftMs <= days * DAY_MS);
  if (withinDays === undefined) return null;
  const days = Math.ceil(leftMs / DAY_MS);
  return { withinDays, text: `${name} expires within ${days === 1 ? 'a day' : `${days} days`}; ${renew}` };
}

/** A site document's end. The sealing keys and token keys that it names have no other. */
export function documentExpiry({ version, expiresAtMs }: SiteDocument): Expiring {
  return { thing: 'site_document', id: String(version), expiresAtMs };
}

/** The end of the certificate that data keys are wrapped to. */
export function certificateEnd({ pem, thumbprint }: CertificatePublic): Expiring {
  return { thing: 'certificate', id: thumbprint, expiresAtMs: endOf(pem) };
}

/** The end of what a process shows of itself: that of its chain (PEM) which comes first. */
export function tlsEnd(chainPem: string, thing: 'gateway_tls' | 'recovery_tls' = 'gateway_tls'): Expiring {
  const certificates = chainPem.match(PEM_CERTIFICATES) ?? [];
  const first = certificates[0] ?? '';
  return {
    thing,
    id: new X509Certificate(first).fingerprint256,
    expiresAtMs: Math.min(...certificates.map(endOf)),
  };
}

/**
 * The certificates of a site that lie in a key folder, as files; those of other hosts are not here.
 *
 * @param thumbprint - of the certificate that the site document names; null for none
 * @throws MpeError KEY_FOLDER_INVALID, and what reading a damaged certificate throws
 */
export function expiringHere(keysDir: string, thumbprint: string | null): readonly Expiring[] {
  const current = readPublicCertificates(keysDir).find(
    ({ certificate }) => certificate.thumbprint === thumbprint,
  );
  const chain = join(keysDir, KEY_FILES.tlsChain);
  return [
    ...(current === undefined ? [] : [certificateEnd(current.certificate)]),
    ...(existsSync(chain) ? [tlsEnd(readFileSync(chain, 'utf8'))] : []),
  ];
}

function endOf(pem: string): number {
  return Date.parse(new X509Certificate(pem).validTo);
}
