import type { StoreSetting } from '../config/index.js';
import type { Clock } from '../ops/clock.js';
import { MpeError } from '../ops/errors.js';
import { FingerprintKey } from '../secrets/fingerprint.js';
import { openStore } from '../store/open-store.js';
import type { SiteStore } from '../store/site-store.js';
import { clientIdOf } from './build-case.js';
import { GatewayTarget } from './gateway-target.js';
import type { FixtureMaterial } from './material.js';
import type { OrderKind } from './order.js';
import type { ReadyCase } from './plan-set.js';
import { replaySet, type SetResult } from './replay-set.js';
import type { SecretScanner } from './scan.js';
import type { SiteVariant } from './site-variants.js';

/** How a set is sent to a running site. */
export interface GatewayRunOptions {
  readonly cases: readonly ReadyCase[];
  readonly material: FixtureMaterial;
  readonly address: string;
  /** Which of the fixture sites runs there. */
  readonly variant: SiteVariant;
  /** Its database, where it is at hand. */
  readonly store: StoreSetting | null;
  readonly clock: Clock;
  readonly order: OrderKind;
  readonly seed: number;
  readonly times: number;
  /** The set was sent to this site before. */
  readonly again: boolean;
  readonly scanner: SecretScanner;
  readonly onProgress: (site: string, done: number, total: number) => void;
}

/** Sends the cases of one site variant to a gateway. @throws MpeError UNREACHABLE, SITE_MISMATCH */
export async function replayGateway(options: GatewayRunOptions): Promise<{
  readonly sets: readonly SetResult[];
  readonly faults: readonly string[];
  readonly leftOut: readonly { readonly name: string; readonly note: string }[];
}> {
  const { material, variant, clock, scanner, order, seed } = options;
  const cases = options.cases.filter(({ fixture }) => fixture.site === variant);
  const leftOut = options.cases
    .filter(({ fixture }) => fixture.site !== variant)
    .map(({ fixture }) => ({ name: fixture.name, note: `needs a site of another variant than ${variant}` }));
  if (cases.length === 0) throw new MpeError('USAGE', `no chosen case is for the site "${variant}"`);
  const target = await GatewayTarget.connect(options.address, material);
  const store = options.store === null ? null : await openStore(options.store, { clock });
  try {
    const site = await store?.readSite();
    if (site !== undefined && site?.siteGuid !== material.siteGuid)
      throw new MpeError('SITE_MISMATCH', 'the database of --store is not a site made with the fixture keys');
    const { id, key } = material.site.fingerprintKey;
    const fingerprintKey = new FingerprintKey(id, key);
    const operator = store === null ? null : { store, clock, material, fingerprintKey };
    const sets: SetResult[] = [];
    const first = options.again || (store !== null && (await wasSent(store, cases))) ? 2 : 1;
    for (let pass = first; pass < first + options.times; pass += 1)
      sets.push(
        await replaySet({
          ...{ site: `${variant} at ${options.address}`, cases, target, store, operator },
          ...{ fingerprintKey, order, seed, pass, scanner },
          onProgress: (done, total) => options.onProgress(variant, done, total),
        }),
      );
    const changed = sets.some((set) => set.siteHash !== sets[0]?.siteHash);
    return { sets, leftOut, faults: changed ? ['the site hash changed when the set was sent again'] : [] };
  } finally {
    await target.close();
    await store?.close();
  }
}

/** Whether a site knows clients of these cases already. */
async function wasSent(store: SiteStore, cases: readonly ReadyCase[]): Promise<boolean> {
  for (const { fixture } of cases)
    for (const client of Object.keys(fixture.clients))
      if ((await store.findClient(clientIdOf(fixture, client))) !== null) return true;
  return false;
}
