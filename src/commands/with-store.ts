import type { Config } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { openStore } from '../store/open-store.js';
import type { SiteRow, SiteStore } from '../store/site-store.js';

/** Opens the site database for one piece of work and closes it whatever happens. */
export async function withStore<T>(
  config: Config,
  work: (store: SiteStore) => Promise<T>,
  options: { readonly readOnly?: boolean } = {},
): Promise<T> {
  const store = await openStore(config.store, options);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/**
 * The site of a database.
 *
 * @throws MpeError SITE_MISMATCH where it holds none
 */
export async function requireSite(store: SiteStore): Promise<SiteRow> {
  const site = await store.readSite();
  if (site !== null) return site;
  throw new MpeError(
    'SITE_MISMATCH',
    'the database holds no site. Check MPE_STORE_URL, or run "mpe site init"',
  );
}
