import { Writable } from 'node:stream';
import type { Clock } from '../ops/clock.js';
import { MpeError } from '../ops/errors.js';
import { createLogger } from '../ops/log.js';
import { FingerprintKey } from '../secrets/fingerprint.js';
import { openKeyFolder } from '../secrets/key-folder.js';
import { openStore } from '../store/open-store.js';
import type { SiteStore } from '../store/site-store.js';
import { makeFixtureSite, quarantineMaxOf, registrationOf } from './fixture-site.js';
import type { FixtureMaterial } from './material.js';
import type { OrderKind } from './order.js';
import { PipelineTarget } from './pipeline-target.js';
import type { ReadyCase } from './plan-set.js';
import { replaySet, type SetResult } from './replay-set.js';
import type { SecretScanner } from './scan.js';
import { sitePlace, type ReplayStores, type SitePlace } from './site-place.js';
import { SITE_VARIANTS, type SiteVariant } from './site-variants.js';

/** How a set is run in this process. */
export interface InProcessOptions {
  readonly cases: readonly ReadyCase[];
  readonly material: FixtureMaterial;
  readonly clock: Clock;
  readonly order: OrderKind;
  readonly seed: number;
  /** How often the set is sent into the same sites. */
  readonly times: number;
  readonly stores: ReplayStores;
  readonly scanner: SecretScanner;
  readonly onProgress: (site: string, done: number, total: number) => void;
}

/** Results in the order of passes, then sites, with the faults of the whole. */
export interface InProcessResult {
  readonly sets: readonly SetResult[];
  readonly faults: readonly string[];
}

/** Runs each site's cases through the workers' pipeline, into a store of their own. */
export async function replayInProcess(options: InProcessOptions): Promise<InProcessResult> {
  const sets: SetResult[] = [];
  const faults: string[] = [];
  for (const site of SITE_VARIANTS) {
    const cases = options.cases.filter(({ fixture }) => fixture.site === site);
    if (cases.length === 0) continue;
    const place = await sitePlace(options.stores, site, options.clock);
    try {
      const result = await replaySite(site, cases, place, options);
      sets.push(...result.sets);
      faults.push(...result.faults);
    } finally {
      await place.release();
    }
  }
  return { sets, faults };
}

/**
 * Runs the set in source order, in reverse and in `seeds` seeded orders, each into sites of its own:
 * whatever the order, the sites must end up the same.
 */
export async function replayOrders(options: InProcessOptions, seeds: number): Promise<InProcessResult> {
  const orders: { readonly order: OrderKind; readonly seed: number; readonly name: string }[] = [
    { order: 'source', seed: 0, name: 'source order' },
    { order: 'reverse', seed: 0, name: 'reverse' },
    ...Array.from({ length: seeds }, (_, i) => ({
      order: 'seed' as const,
      seed: options.seed + i,
      name: `seed ${options.seed + i}`,
    })),
  ];
  const sets: SetResult[] = [];
  const faults: string[] = [];
  const hashes = new Map<string, string | null>();
  for (const { order, seed, name } of orders) {
    const result = await replayInProcess({ ...options, order, seed });
    for (const set of result.sets) {
      const first = hashes.get(set.site);
      if (first === undefined) hashes.set(set.site, set.siteHash);
      else if (first !== set.siteHash)
        faults.push(`${set.site}: another site hash in ${name} than in source order`);
      sets.push({ ...set, site: `${set.site}, ${name}` });
    }
    faults.push(...result.faults.map((fault) => `${name}: ${fault}`));
  }
  return { sets, faults };
}

async function replaySite(
  site: SiteVariant,
  cases: readonly ReadyCase[],
  place: SitePlace,
  options: InProcessOptions,
): Promise<InProcessResult> {
  const { material, clock, scanner } = options;
  const { isNew, keysDir } = place;
  const log: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      log.push(chunk);
      done();
    },
  });
  const store = await openSite(site, place, material, clock);
  try {
    const target = await PipelineTarget.create({
      ...{ store, clock },
      keyFolder: await openKeyFolder(keysDir, 'worker'),
      // Everything that could leak is written, and then searched.
      log: createLogger('replay', { logLevel: 'trace' }, { stream }),
      quarantineMax: quarantineMaxOf(site),
      registration: registrationOf(site),
    });
    const { id, key } = material.site.fingerprintKey;
    const fingerprintKey = new FingerprintKey(id, key);
    const sets: SetResult[] = [];
    for (let pass = isNew ? 1 : 2; pass <= (isNew ? options.times : options.times + 1); pass += 1) {
      const operator = { store, clock, material, fingerprintKey };
      const { order, seed } = options;
      sets.push(
        await replaySet({
          ...{ site, cases, target, store, operator, fingerprintKey, order, seed, pass, scanner },
          onProgress: (done, total) => options.onProgress(site, done, total),
        }),
      );
    }
    await target.close();
    return { sets, faults: againFaults(site, sets, isNew) };
  } finally {
    await store.close();
    scanner.scan(`log of ${site}`, Buffer.concat(log));
    // A site that stores plain text by consent holds what the search looks for, rightly.
    if (site !== 'plain-text') await place.scan(scanner);
  }
}

/** What sending the same set again must not change. */
function againFaults(site: string, sets: readonly SetResult[], isNew: boolean): readonly string[] {
  const hash = sets[0]?.siteHash;
  return sets.flatMap((set, index) => {
    // A site that was made just now holds these cases and nothing else.
    if (index === 0 && isNew)
      return set.stray.map((line) => `${site}: a row that belongs to no case: ${line}`);
    const written = set.keysWritten ?? 0;
    return [
      ...(set.siteHash === hash ? [] : [`${site}: the site hash changed when the set was sent again`]),
      ...(written === 0 ? [] : [`${site}: ${written} keys were written when the set was sent again`]),
    ];
  });
}

async function openSite(
  site: SiteVariant,
  place: SitePlace,
  material: FixtureMaterial,
  clock: Clock,
): Promise<SiteStore> {
  const store = await openStore(place.location, { clock });
  try {
    if (place.isNew)
      await store.createSite(await makeFixtureSite(site, material, place.keysDir, clock.now()));
    else {
      const found = await store.readSite();
      if (found?.siteGuid !== material.siteGuid)
        throw new MpeError(
          'SITE_MISMATCH',
          `${place.name} is not a site of these fixtures; give another --store-dir`,
        );
    }
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}
