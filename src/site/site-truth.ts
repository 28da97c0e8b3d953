/**
 * What a site document ought to say, from what the database and the key folder hold. The document is
 * always made from there, never from what a command believes that it did: a command that was killed
 * between two steps is finished by whoever publishes next.
 */
import type { PublicJwk } from '../protocol/jwk.js';
import { SITE_LIMITS, type SiteDocument } from '../protocol/site-document.js';
import type { SiteDocumentChanges } from '../secrets/next-site-document.js';
import type { ArchivedSealingKeyRow, PolicyRow, SealingKeyRow, SiteRow } from '../store/site-store.js';

/** The rows that decide over a site document. */
export interface SiteTruth {
  readonly site: SiteRow;
  readonly sealingKeys: readonly SealingKeyRow[];
  readonly archived: readonly ArchivedSealingKeyRow[];
  readonly policies: readonly PolicyRow[];
}

/** What publishing leaves out or adds on purpose. */
export interface Wishes {
  /** Retired now: no longer offered. */
  readonly withoutKids?: ReadonlySet<string>;
  /** Restored keys that are offered again. */
  readonly withKids?: ReadonlySet<string>;
}

/**
 * The sealing keys that clients are offered: those that workers can open, the newest of each
 * algorithm first, algorithms in the document's order. A key that came back from the archive opens
 * what was sealed to it and is not offered, unless it is wished for or offered already.
 */
export function offeredSealingKeys(
  current: SiteDocument,
  truth: Pick<SiteTruth, 'sealingKeys' | 'archived'>,
  wishes: Wishes = {},
): readonly PublicJwk[] {
  const offered = new Set(current.sealingKeys.map((key) => key.kid));
  const cameBack = new Set(truth.archived.map((row) => row.kid));
  const rows = truth.sealingKeys.filter(
    ({ kid }) =>
      wishes.withoutKids?.has(kid) !== true &&
      (offered.has(kid) || !cameBack.has(kid) || wishes.withKids?.has(kid) === true),
  );
  const algs = [...new Set([...current.sealingKeys.map((key) => key.alg), ...rows.map((row) => row.alg)])];
  // rows come newest first, so the place among its algorithm is the age.
  const age = new Map<string, number>();
  for (const alg of algs) rows.filter((row) => row.alg === alg).forEach((row, n) => age.set(row.kid, n));
  return [...rows]
    .sort(
      (a, b) => (age.get(a.kid) ?? 0) - (age.get(b.kid) ?? 0) || algs.indexOf(a.alg) - algs.indexOf(b.alg),
    )
    .map((row) => JSON.parse(row.publicJwk) as PublicJwk);
}

/**
 * The members of a document that follow from the truth. The certificate and the token keys are changed
 * by commands of their own and stay as they are.
 */
export function documentOf(
  current: SiteDocument,
  truth: SiteTruth,
  wishes: Wishes = {},
): SiteDocumentChanges {
  const policy = truth.policies.find((row) => row.targetTag === null);
  return {
    name: truth.site.name,
    sealingKeys: offeredSealingKeys(current, truth, wishes),
    limits: SITE_LIMITS,
    checkIntervalMinutes: policy?.checkIntervalMinutes ?? current.checkIntervalMinutes,
  };
}

/** What differs, in words for a person; nothing where the document says the truth already. */
export function differences(current: SiteDocument, next: SiteDocumentChanges): readonly string[] {
  const lines: string[] = [];
  const said = (name: string, before: unknown, after: unknown): void => {
    if (JSON.stringify(before) !== JSON.stringify(after))
      lines.push(`${name}: ${text(before)} → ${text(after)}`);
  };
  const [before, after] = [current.sealingKeys, next.sealingKeys ?? current.sealingKeys];
  const [had, has] = [before.map((key) => key.kid), after.map((key) => key.kid)];
  for (const key of after)
    if (!had.includes(key.kid)) lines.push(`sealing key ${key.kid} (${key.alg}) added`);
  for (const key of before)
    if (!has.includes(key.kid)) lines.push(`sealing key ${key.kid} (${key.alg}) removed`);
  const common = (kids: readonly string[], others: readonly string[]): string =>
    kids.filter((kid) => others.includes(kid)).join(' ');
  if (common(had, has) !== common(has, had)) lines.push('sealing keys in another order of preference');
  said('name', current.name, next.name);
  said('limits', current.limits, next.limits);
  said('check interval, minutes', current.checkIntervalMinutes, next.checkIntervalMinutes);
  return lines;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
