import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/index.js';
import type { Guid } from '../../src/protocol/guid.js';
import { openKeyFolder } from '../../src/secrets/key-folder.js';
import { FileKeeper } from '../../src/secrets/certificate-keeper.js';
import { SecretOpener } from '../../src/secrets/open-secret.js';
import { openStore } from '../../src/store/open-store.js';
import type { SiteCounts, SiteStore } from '../../src/store/site-store.js';
import type { MadeMessage, OwnCopy, Told } from './fleet.js';

/** What the site database holds, held against what the clients know. */
export interface AuditReport {
  /** Messages that a client was told COMMITTED and that are not there, or not as committed. */
  readonly lost: readonly Guid[];
  /** Secrets of committed messages that are not stored or do not open to the client's copy. */
  readonly unreadable: readonly string[];
  /** Stored secrets that no client sent, or that are stored more than once. */
  readonly surplus: readonly string[];
  /** Outcomes beyond one for each message that leaves one. */
  readonly doubled: number;
  /** Secrets opened with the certificate and found equal. */
  readonly opened: number;
  readonly counts: SiteCounts;
}

const nameOf = (copy: { kind: string; keyId: string; volumeId: string }): string =>
  `${copy.kind} ${copy.volumeId}/${copy.keyId}`;

/** A name and a digest of the value: equal for equal secrets, and safe to print. */
const printOf = (copy: OwnCopy): string =>
  `${nameOf(copy)} ${createHash('sha256').update(copy.value).digest('hex').slice(0, 16)}`;

/** A site: the home folder that holds its keys, and its database where that is not SQLite in there. */
export type SitePlace = string | { readonly home: string; readonly storeUrl?: string | undefined };

const homeOf = (place: SitePlace): string => (typeof place === 'string' ? place : place.home);

/** Opens a site's database for reading. */
export async function openSite(place: SitePlace): Promise<SiteStore> {
  const url = typeof place === 'string' ? undefined : place.storeUrl;
  const { store } = loadConfig({
    MPE_HOME: homeOf(place),
    ...(url === undefined ? {} : { MPE_STORE_URL: url }),
  });
  return openStore(store, { readOnly: true });
}

/**
 * Compares the database with the clients' own copies: everything that was told COMMITTED is there
 * once and opens to exactly what the machine knows; nothing else is there.
 *
 * @param before what was there already: secrets, and the number of outcomes.
 */
export async function auditSite(
  place: SitePlace,
  messages: readonly MadeMessage[],
  told: readonly Told[],
  before: { readonly secrets: readonly OwnCopy[]; readonly outcomes: number } = { secrets: [], outcomes: 0 },
): Promise<AuditReport> {
  const keys = await openKeyFolder(join(homeOf(place), 'keys'), 'recovery');
  const store = await openSite(place);
  try {
    const opener = new SecretOpener({
      siteGuid: keys.siteGuid,
      keeper: await FileKeeper.open(keys.path),
      dataKeys: await store.readDataKeys(),
    });
    const committed = new Set(
      told
        .filter((one) => one.disposition === 'COMMITTED' || one.disposition === 'ALREADY_COMMITTED')
        .map((one) => one.messageId),
    );
    const lost: Guid[] = [];
    const wanted = new Set<string>();
    const known = new Set([...messages.flatMap((message) => message.copies), ...before.secrets].map(printOf));
    let outcomes = 0;
    for (const message of messages) {
      const outcome = await store.findOutcome(message.clientId, message.messageId);
      if (outcome !== null) outcomes += 1;
      if (!committed.has(message.messageId)) continue;
      if (message.bodyType !== 'CHECK_IN' && outcome?.disposition !== 'COMMITTED')
        lost.push(message.messageId);
      for (const copy of message.copies) wanted.add(printOf(copy));
    }
    let opened = 0;
    const seen = new Set<string>();
    const surplus: string[] = [];
    const damaged: string[] = [];
    // A generation that is marked damaged has a successor, rightly.
    const replaced = new Set<string>();
    for await (const { identity, content, damaged: marked } of store.streamSecrets()) {
      const value = await opener.open(identity, content).catch(() => null);
      if (value === null) {
        damaged.push(nameOf(identity));
        continue;
      }
      const print = printOf({ ...identity, value });
      if (!known.has(print) || (seen.has(print) && !replaced.has(print))) surplus.push(nameOf(identity));
      seen.add(print);
      opened += 1;
      if (marked) replaced.add(print);
      wanted.delete(print);
    }
    const counts = await store.counts();
    return {
      lost,
      unreadable: [...new Set([...wanted, ...damaged])],
      surplus,
      doubled: counts.outcomes - outcomes - before.outcomes,
      opened,
      counts,
    };
  } finally {
    await store.close();
  }
}

/** The site hash of a site: what must be equal between runs of the same messages. */
export async function siteHashOf(place: SitePlace): Promise<string> {
  const store = await openSite(place);
  try {
    const hash = createHash('sha256');
    for await (const line of store.hashLines()) hash.update(`${line.table}\t${line.columns.join('\t')}\n`);
    return hash.digest('hex');
  } finally {
    await store.close();
  }
}
