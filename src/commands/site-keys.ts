import { Option, type Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { listSealingKeys } from '../site/list.js';
import { restoreSealingKey } from '../site/restore.js';
import { retireSealingKey } from '../site/retire.js';
import { rotateSealingKeys, type SealingAlgorithm } from '../site/rotate.js';
import { group } from './group.js';
import { print, printJson, table, time, warn } from './output.js';
import { withSiteChange } from './with-site-change.js';

const ALGORITHMS: readonly SealingAlgorithm[] = ['RSA-OAEP-256', 'ECDH-ES+A256KW'];

interface Json {
  readonly json: boolean;
}

/** `mpe site-keys …`: the keys that clients seal messages to. */
export function register(program: Command): void {
  const keys = group(program, 'site-keys', 'Sealing keys: what clients seal their messages to');
  keys
    .command('list')
    .description('list sealing keys: offered, unpublished, restored, retired')
    .option('--json', 'print them as JSON', false)
    .action(list);
  keys
    .command('rotate')
    .description('make new sealing keys beside the old ones, and publish; needs worker/ and root/')
    .addOption(new Option('--alg <algorithm...>', 'only of these algorithms').choices([...ALGORITHMS]))
    .option('--again', 'also where the newest keys are younger than an hour', false)
    .option('--json', 'print the result as JSON', false)
    .action(rotate);
  keys
    .command('retire <kid>')
    .description('take a sealing key from clients and workers, into the archive; needs worker/ and root/')
    .option('--json', 'print the result as JSON', false)
    .action(retire);
  keys
    .command('restore <kid>')
    .description('bring a retired sealing key back to the workers; needs worker/ and recovery/')
    .option('--publish', 'offer it to clients again; needs root/', false)
    .option('--json', 'print the result as JSON', false)
    .action(restore);
}

async function list({ json }: Json): Promise<void> {
  await withSiteChange(
    loadConfig(),
    async (change) => {
      const { keys, version, expiresAtMs } = await listSealingKeys(change);
      if (json) {
        printJson({ siteDocument: { version, expiresAtMs }, keys });
        return;
      }
      print(
        ...table(
          ['kid', 'algorithm', 'state', 'place', 'made', 'archived'],
          keys.map((key) => [
            key.kid,
            key.alg,
            key.state,
            key.place === null ? '-' : String(key.place),
            time(key.createdAtMs),
            key.archivedAtMs === null ? '-' : time(key.archivedAtMs),
          ]),
        ),
        '',
        `site document ${version}, good until ${time(expiresAtMs)}`,
      );
    },
    { readOnly: true },
  );
}

async function rotate(
  options: Json & { readonly alg?: SealingAlgorithm[]; readonly again: boolean },
): Promise<void> {
  const { keys, published } = await withSiteChange(loadConfig(), (change) =>
    rotateSealingKeys(change, { algs: options.alg, again: options.again }),
  );
  const { version } = published.document;
  if (options.json) {
    printJson({ keys, published: published.published, version });
    return;
  }
  print(
    ...keys.map(({ kid, alg, made }) => `${made ? 'new sealing key' : 'made before, taken'}  ${alg}  ${kid}`),
    published.published
      ? `Published site document ${version}: clients seal to the new keys once they have read it.`
      : `Site document ${version} offers them already. For yet another key: --again`,
    'Old keys still open what is sealed to them. Retire one when all clients have read the document:',
    '  mpe site-keys list    mpe site-keys retire KID',
  );
}

async function retire(kid: string, { json }: Json): Promise<void> {
  const { changed, documentVersion } = await withSiteChange(loadConfig(), (change) =>
    retireSealingKey(change, kid),
  );
  if (json) {
    printJson({ kid, changed, version: documentVersion });
    return;
  }
  if (!changed) {
    print(`${kid} is retired already; nothing was changed.`);
    return;
  }
  print(
    `${kid} is retired: archived to the certificate, out of site document ${documentVersion}.`,
    'Running workers forget it within seconds.',
  );
  warn(
    `Clients that have not read site document ${documentVersion} may still seal to it. The site does not know how many: such`,
    'messages go into quarantine (mpe status), and their clients read the document then and send again.',
    // A kid may begin with a hyphen.
    `Many of them for long? mpe site-keys restore -- ${kid}`,
  );
}

async function restore(kid: string, options: Json & { readonly publish: boolean }): Promise<void> {
  const { changed, published } = await withSiteChange(loadConfig(), (change) =>
    restoreSealingKey(change, kid, { publish: options.publish }),
  );
  if (options.json) {
    printJson({ kid, changed, version: published?.document.version ?? null });
    return;
  }
  print(
    changed
      ? `${kid} is back: workers open what is sealed to it within seconds.`
      : `${kid} was there already.`,
    published === null
      ? 'Clients are not offered it (--publish would). Messages in quarantine for it are processed by themselves.'
      : `Site document ${published.document.version} offers it to clients.`,
  );
}
