import { clockOf, type Config } from '../config/index.js';
import { openKeyFolder } from '../secrets/key-folder.js';
import type { SiteChange } from '../site/open-site.js';
import { finishRootChange } from '../site/root-change.js';
import { requireSite, withStore } from './with-store.js';

/**
 * Opens what a change of the site works on. Which parts of the key folder are needed, the change says
 * when it asks for them; each refuses before anything is written.
 *
 * @param work - is told whether a root change that an earlier call left was finished before it
 */
export async function withSiteChange<T>(
  config: Config,
  work: (change: SiteChange, rootFinished: boolean) => Promise<T>,
  options: { readonly readOnly?: boolean } = {},
): Promise<T> {
  return withStore(
    config,
    async (store) => {
      const clock = clockOf(config, (await requireSite(store)).testSite);
      const change = { store, clock, keyFolder: await openKeyFolder(config.keysDir, 'anyone') };
      if (options.readOnly === true || !(await finishRootChange(change))) return work(change, false);
      return work({ ...change, keyFolder: await openKeyFolder(config.keysDir, 'anyone') }, true);
    },
    options,
  );
}
