import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { rewrapDataKeys, type RewrapReport } from '../recovery/rewrap.js';
import { sentinelOf, sentinelRow } from '../recovery/sentinel.js';
import { nameCertificate, offerToWorkers } from '../secrets/add-certificate.js';
import { CERTIFICATE_NAME, type CertificatePublic } from '../secrets/certificate.js';
import { publishSiteDocument } from '../secrets/next-site-document.js';
import type { SiteStore } from '../store/site-store.js';
import { lookAtCertificates, stateLines, type CertificateSite } from './certificate-site.js';
import { rowProgress } from './copy-progress.js';
import { group } from './group.js';
import { print, warn } from './output.js';
import { withStore } from './with-store.js';

interface Options {
  readonly to?: string;
  readonly rewrapOnly: boolean;
}

/** Data keys come while one re-wraps; each pass takes those of the one before. */
const PASSES = 5;
const SHOWN = 10;

/** `mpe certificate rotate`: changes to another certificate. */
export function register(program: Command): void {
  group(program, 'certificate', '')
    .command('rotate')
    .description('wrap every data key to the new certificate and publish it in the site document')
    .option('--to <thumbprint>', 'the certificate to change to, its first digits; else the one that waits')
    .option('--rewrap-only', 'wrap the data keys and publish nothing: on a host without root/', false)
    .addHelpText(
      'after',
      '\nWhile the site runs. Stopped at any moment, it goes on where it was when it runs again. Secrets are' +
        '\nnot touched, and former certificates are needed no more once nothing is missing ("status").',
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const config = loadConfig();
  await withStore(config, async (store) => {
    const site = await lookAtCertificates(config, store);
    const target = chooseTarget(site, options.to);
    // Before anything is written: a change that cannot be published is found here.
    const rootKey = options.rewrapOnly ? null : site.keyFolder.rootKey();
    offerToWorkers(site.keyFolder.path, target);
    const first = await pass(store, site, target);
    refuseUnopened(first, site);
    if (rootKey !== null) {
      const { siteGuid } = site.document;
      const { document, published } = await publishSiteDocument(
        store,
        { siteGuid, rootKey },
        site.clock.now(),
        (current) =>
          current.certificateThumbprint === target.thumbprint && !current.plaintextConsent
            ? null
            : { certificateThumbprint: target.thumbprint, plaintextConsent: false },
      );
      nameCertificate(site.keyFolder.path, target.thumbprint);
      await plantSentinel(store, site, target);
      print(`Site document ${document.version} names ${target.thumbprint}${published ? '.' : ' already.'}`);
    }
    const failed = await untilNothingIsMissing(store, site, target, first);
    await tell(config, store, failed);
    if (failed.length > 0) process.exitCode = 1;
    else if (rootKey !== null)
      print(
        '',
        'Workers take it within ten seconds, on hosts to which worker/ was copied. A data key that one makes for the',
        'former certificate until then is wrapped by the recovery service, or by running this command again.',
      );
  });
}

/** @throws MpeError USAGE */
function chooseTarget(
  { keeper, states, document }: CertificateSite,
  to: string | undefined,
): CertificatePublic {
  const here = keeper.certificates();
  const chosen =
    to === undefined
      ? here.filter(({ thumbprint }) =>
          states.some((s) => s.thumbprint === thumbprint && s.role === 'waiting'),
        )
      : here.filter(({ thumbprint }) => thumbprint.startsWith(to.toLowerCase()));
  const [target, ...more] = chosen;
  if (more.length > 0) {
    const names = chosen.map(({ thumbprint }) => thumbprint).join(', ');
    throw new MpeError('USAGE', `there are ${chosen.length} of them: choose with --to one of ${names}`);
  }
  if (target !== undefined) return target;
  // Nothing waits: what is missing for the current one is made up for.
  const current = here.find(({ thumbprint }) => thumbprint === document.certificateThumbprint);
  if (to === undefined && current !== undefined) return current;
  throw new MpeError(
    'USAGE',
    `recovery/ of the key folder holds no ${to === undefined ? 'certificate to change to' : `certificate ${to}`}: make one ` +
      'with "mpe certificate create", or run this where it is',
  );
}

async function pass(
  store: SiteStore,
  site: CertificateSite,
  target: CertificatePublic,
): Promise<RewrapReport> {
  const progress = rowProgress();
  try {
    return await rewrapDataKeys({
      ...{ store, target, keeper: site.keeper, siteGuid: site.document.siteGuid, clock: site.clock },
      onProgress: (done, total) => {
        if (total > 0) progress.show('wrapping data keys', done, total);
      },
    });
  } finally {
    progress.stop();
  }
}

/** Without the former key a change would leave behind what this host cannot read. */
function refuseUnopened({ failed }: RewrapReport, { rows }: CertificateSite): void {
  const other = failed.filter(({ reason }) => reason === 'CERTIFICATE_OTHER');
  if (other.length === 0) return;
  const ids = new Set(other.map(({ id }) => id));
  const needed = new Set(
    rows.filter((row) => ids.has(row.dataKeyId)).map((row) => row.certificateThumbprint),
  );
  throw new MpeError(
    'CERTIFICATE_UNUSABLE',
    `${other.length} keys of the database are wrapped to certificates whose private keys are not here` +
      `${needed.size === 0 ? '' : ` (${[...needed].join(', ')})`}: bring them with "mpe certificate restore" and run this ` +
      'again. The site document was not changed.',
  );
}

/** Proves the new certificate, and on a site that had none ends plain text at once, before any worker knows. */
async function plantSentinel(
  store: SiteStore,
  { document, clock }: CertificateSite,
  target: CertificatePublic,
): Promise<void> {
  const { dataKeyId } = sentinelOf(document.siteGuid, target.thumbprint);
  if ((await store.readDataKeys()).some((row) => row.dataKeyId === dataKeyId)) return;
  await store.insertDataKey(await sentinelRow(document.siteGuid, target, clock.now()));
}

async function untilNothingIsMissing(
  store: SiteStore,
  site: CertificateSite,
  target: CertificatePublic,
  first: RewrapReport,
): Promise<RewrapReport['failed']> {
  let { wrapped, archived, failed } = first;
  let dataKeys = first.dataKeys;
  for (let passes = 1, last = first; passes < PASSES && last.wrapped + last.archived > 0; passes += 1) {
    last = await pass(store, site, target);
    wrapped += last.wrapped;
    archived += last.archived;
    ({ failed, dataKeys } = last);
  }
  print(
    `${wrapped} of ${dataKeys} data keys${archived === 0 ? '' : ` and ${archived} archived sealing keys`} were wrapped to ` +
      `${CERTIFICATE_NAME} ${target.thumbprint} by this run.`,
  );
  return failed;
}

async function tell(
  config: ReturnType<typeof loadConfig>,
  store: SiteStore,
  failed: RewrapReport['failed'],
): Promise<void> {
  print('', ...stateLines((await lookAtCertificates(config, store)).states));
  for (const { id, reason } of failed.slice(0, SHOWN)) warn(`${id} could not be wrapped: ${reason}`);
  if (failed.length > 0)
    warn(`${failed.length} keys do not open and were left as they are: "mpe certificate verify" says more.`);
}
