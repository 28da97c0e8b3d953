import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import { certificateStates } from '../recovery/certificate-states.js';
import { missingWraps } from '../recovery/rewrap.js';
import { addCertificate } from '../secrets/add-certificate.js';
import { FileKeeper } from '../secrets/certificate-keeper.js';
import { readPemPairs } from '../secrets/certificate-pem.js';
import { loadCertificateKey } from '../secrets/certificate.js';
import { chooseWraps } from '../secrets/choose-wraps.js';
import { unwrapDataKey } from '../secrets/data-key.js';
import { openKeyFolder } from '../secrets/key-folder.js';
import { withoutFormerSentinels } from '../secrets/sentinel.js';
import { checkSite } from '../secrets/site-check.js';
import type { SiteStore } from '../store/site-store.js';
import { stateLines } from './certificate-site.js';
import { read } from './certificate-import.js';
import { group } from './group.js';
import { print, warn } from './output.js';
import { PASSWORD_OPTION, readPassword } from './password.js';
import { requireSite, withStore } from './with-store.js';

/** `mpe certificate restore`: certificates with their keys from a backup into a key folder. */
export function register(program: Command): void {
  group(program, 'certificate', '')
    .command('restore')
    .description('bring certificates and keys from a backup into recovery/ of the key folder')
    .argument('<file>', 'what "mpe certificate backup" wrote')
    .option(...PASSWORD_OPTION)
    .addHelpText(
      'after',
      '\nIt first proves that they open the data keys of the database, and writes nothing where they open none.' +
        '\nNothing is overwritten; it may be stopped and run again.',
    )
    .action(run);
}

async function run(file: string, options: { readonly passwordFile?: string }): Promise<void> {
  const config = loadConfig();
  const keyFolder = await openKeyFolder(config.keysDir, 'anyone');
  const pairs = readPemPairs(read(file).toString('utf8'), await readPassword(options));
  const keeper = await FileKeeper.of(pairs.map(loadCertificateKey));
  await withStore(
    config,
    async (store) => {
      const site = await requireSite(store);
      const document = await checkSite(keyFolder, site, (await store.readSiteDocument()).jws);
      const current = document.certificateThumbprint;
      await proveOpen(store, keeper, site.siteGuid, current);
      for (const pair of pairs) {
        const { certificate, added } = addCertificate(keyFolder.path, pair);
        print(`${added ? 'Restored' : 'Here already:'} ${certificate.thumbprint}`);
      }
      const rows = await store.readDataKeys();
      const held = await FileKeeper.open(keyFolder.path);
      const states = certificateStates(rows, site.siteGuid, current, held);
      print('', ...stateLines(states));
      if (states.some(({ role, here }) => role === 'current' && !here))
        warn(
          `warning: the certificate ${current ?? ''}, which the site document names, is not among them: the recovery ` +
            'service does not start without it',
        );
    },
    { readOnly: true },
  );
}

/** @throws MpeError CERTIFICATE_UNUSABLE where the database holds data keys and these open none */
async function proveOpen(
  store: SiteStore,
  keeper: FileKeeper,
  siteGuid: Parameters<typeof unwrapDataKey>[1],
  current: string | null,
): Promise<void> {
  const rows = withoutFormerSentinels(await store.readDataKeys(), siteGuid, current);
  if (rows.length === 0) return;
  const kept = keeper.certificates().map(({ thumbprint }) => thumbprint);
  const preferred = current !== null && kept.includes(current) ? [current, ...kept] : kept;
  let opened = 0;
  let failing = 0;
  for (const row of chooseWraps(rows, preferred).values()) {
    try {
      (await unwrapDataKey(row, siteGuid, keeper)).fill(0);
      opened += 1;
    } catch (error) {
      if (!isMpeError(error, 'SECRET_UNREADABLE')) throw error;
      failing += 1;
    }
  }
  if (opened === 0) {
    throw new MpeError(
      'CERTIFICATE_UNUSABLE',
      `the backup holds ${kept.join(', ')}, which open none of the ${failing} data keys of the database: they are wrapped ` +
        `to ${[...new Set(rows.map((row) => row.certificateThumbprint))].join(', ')}. Nothing was written.`,
    );
  }
  const missing = current === null ? 0 : missingWraps(rows, siteGuid, current, kept).length;
  print(
    `The backup opens ${opened} of ${opened + failing} data keys of the database` +
      (missing === 0
        ? '.'
        : `; ${missing} have no wrap for the current certificate yet ("mpe certificate rotate").`),
  );
}
