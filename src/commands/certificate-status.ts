import { X509Certificate } from 'node:crypto';
import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import type { CertificateState } from '../recovery/certificate-states.js';
import { certificateExpiry } from '../secrets/certificate-expiry.js';
import { lonelyPrivateFiles, readPublicCertificates } from '../secrets/held-certificates.js';
import { lookAtCertificates, stateLines, type CertificateSite } from './certificate-site.js';
import { group } from './group.js';
import { print, printJson, time, warn } from './output.js';
import { withStore } from './with-store.js';

/** `mpe certificate status`: which certificates there are and how far each reaches. */
export function register(program: Command): void {
  group(program, 'certificate', '')
    .command('status')
    .description(
      'show the certificates, when they end, and the data keys of each; exit 1 where some are missing',
    )
    .option('--json', 'print it as JSON', false)
    .action(run);
}

interface Shown extends CertificateState {
  readonly subject: string | null;
  readonly expiresAt: string | null;
  readonly warning: string | null;
  /** Its private key may be removed from every key folder. */
  readonly removable: boolean;
}

async function run(options: { readonly json: boolean }): Promise<void> {
  const config = loadConfig();
  await withStore(
    config,
    async (store) => {
      const site = await lookAtCertificates(config, store);
      const certificates = site.states.map((state) => shown(state, site));
      const plainSecrets = await store.countPlainSecrets();
      const dataKeys = (site.states[0]?.dataKeys ?? 0) + (site.states[0]?.missing ?? 0);
      const missing = certificates.find(({ role }) => role === 'current')?.missing ?? 0;
      const leftovers = lonelyPrivateFiles(site.keyFolder.path);
      if (options.json) {
        const { certificateThumbprint: current, version, plaintextConsent } = site.document;
        printJson({
          siteDocument: version,
          current,
          plaintextConsent,
          dataKeys,
          missing,
          plainSecrets,
          certificates,
          leftovers,
        });
      } else {
        printStatus(site, certificates, { dataKeys, missing, plainSecrets, leftovers });
      }
      if (missing > 0) process.exitCode = 1;
    },
    { readOnly: true },
  );
}

function shown(state: CertificateState, { keyFolder, keeper, states, clock }: CertificateSite): Shown {
  const pem = [
    ...keeper.certificates(),
    ...readPublicCertificates(keyFolder.path).map(({ certificate }) => certificate),
  ].find(({ thumbprint }) => thumbprint === state.thumbprint)?.pem;
  const expiry = pem === undefined ? null : certificateExpiry(pem, clock.now());
  const complete = states.some(({ role, missing }) => role === 'current' && missing === 0);
  return {
    ...state,
    subject: pem === undefined ? null : new X509Certificate(pem).subject.replaceAll('\n', ', '),
    expiresAt: expiry === null ? null : time(expiry.notAfterMs),
    warning: state.role === 'current' ? (expiry?.warning ?? null) : null,
    removable: state.role === 'former' && complete,
  };
}

interface Counts {
  readonly dataKeys: number;
  readonly missing: number;
  readonly plainSecrets: number;
  readonly leftovers: readonly string[];
}

function printStatus({ document }: CertificateSite, certificates: readonly Shown[], counts: Counts): void {
  const { dataKeys, missing, plainSecrets, leftovers } = counts;
  print(...stateLines(certificates), '');
  for (const { thumbprint, subject, expiresAt, role } of certificates) {
    if (subject !== null)
      print(`${thumbprint.slice(0, 16)}…  ${role}, ${subject}, until ${expiresAt ?? '?'}`);
  }
  const { certificateThumbprint: current, version } = document;
  print(
    '',
    current === null
      ? `Site document ${version} names no certificate${document.plaintextConsent ? ': keys are stored in PLAIN TEXT' : ''}.`
      : `Site document ${version} names ${current}; ${missing} of ${dataKeys} data keys have no wrap for it.`,
    `${plainSecrets} stored secrets are there in plain text alone${plainSecrets > 0 && current !== null ? '; each is sealed when its machine sends it again' : ''}.`,
  );
  for (const { thumbprint, removable } of certificates)
    if (removable)
      print(
        `The private key of ${thumbprint} is needed by no data key any more: it may be archived offline.`,
      );
  if (missing > 0) warn('Run "mpe certificate rotate": until then former certificates are needed.');
  for (const { warning } of certificates) if (warning !== null) warn(`warning: ${warning}`);
  for (const file of leftovers)
    warn(`warning: ${file} is a private key without its certificate, left by a stopped command`);
}
