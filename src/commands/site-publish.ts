import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { readTruth } from '../site/open-site.js';
import { publishSite } from '../site/publish.js';
import { changeRoot } from '../site/root-change.js';
import { group } from './group.js';
import { numberOption } from './number-option.js';
import { print, printJson, time } from './output.js';
import { withSiteChange } from './with-site-change.js';

interface Options {
  readonly expires?: number;
  readonly newRoot: boolean;
  readonly json: boolean;
}

const DAY_MS = 86_400_000;
/** Ten years. */
const MOST_DAYS = 3650;

/** `mpe site publish`: signs the next site document from what the database holds. */
export function register(program: Command): void {
  group(program, 'site', 'The site: its keys, its document, its database')
    .command('publish')
    .description('sign and publish the next site document; needs root/ of the key folder')
    .option(
      '--expires <days>',
      'days until it expires (expiry only warns)',
      numberOption('--expires', 1, MOST_DAYS),
    )
    .option('--new-root', 'change the site root key: old and new sign, clients follow', false)
    .option('--json', 'print the result as JSON', false)
    .action(publish);
}

async function publish(options: Options): Promise<void> {
  const config = loadConfig();
  if (options.newRoot && options.expires !== undefined) {
    throw new MpeError('USAGE', '--new-root and --expires are two changes: run the command twice');
  }
  await withSiteChange(config, async (change, rootFinished) => {
    if (options.newRoot) {
      // What a killed call left is this very change: another one would be a third key.
      const document = rootFinished ? (await readTruth(change)).document : await changeRoot(change);
      if (options.json) printJson({ published: true, version: document.version, root: document.rootKey.kid });
      else
        print(
          `The site has a new root key: ${document.rootKey.kid} (site document ${document.version}).`,
          `Its key is root/root-key.json of ${config.keysDir}; the old one is kept beside it.`,
          'Back the key folder up now. Copy its site.json to the hosts when it suits: processes with the old one follow.',
          'Clients follow when they next read the site document; enrolment tokens that are out stay good.',
        );
      return;
    }
    const expiresAtMs =
      options.expires === undefined ? undefined : change.clock.now() + options.expires * DAY_MS;
    const { document, changes, published } = await publishSite(change, { expiresAtMs });
    if (options.json) {
      const { version, expiresAtMs: expires } = document;
      printJson({ published, version, expiresAtMs: expires, changes });
      return;
    }
    const until = time(document.expiresAtMs);
    if (!published) {
      print(
        `Nothing to publish: site document ${document.version} says all of it and is good until ${until}.`,
      );
      return;
    }
    print(
      `Published site document ${document.version}, good until ${until}.`,
      ...(changes.length === 0 ? ['  nothing changed but its life'] : changes.map((line) => `  ${line}`)),
    );
  });
}
