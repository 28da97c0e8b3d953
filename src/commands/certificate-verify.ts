import type { Command } from 'commander';
import { loadConfig, type Config } from '../config/index.js';
import { systemClock } from '../ops/clock.js';
import { isMpeError } from '../ops/errors.js';
import { createLogger } from '../ops/log.js';
import { checkSecret } from '../recovery/check-secret.js';
import { openRecoverySite, type RecoverySite } from '../recovery/open-site.js';
import { ownRows } from '../recovery/own-rows.js';
import type { SiteStore, StoredSecret } from '../store/site-store.js';
import { group } from './group.js';
import { numberOption } from './number-option.js';
import { print, printJson, warn } from './output.js';
import { withStore } from './with-store.js';

interface Options {
  readonly all: boolean;
  readonly sample: number;
  readonly json: boolean;
}

const SHOWN = 20;

/** `mpe certificate verify`: proves that the certificates of this host open what is stored. */
export function register(program: Command): void {
  group(program, 'certificate', '')
    .command('verify')
    .description(
      'open every data key, and a sample of the stored secrets, with the certificates of this host',
    )
    .option('--sample <n>', 'secrets to open, the newest', numberOption('--sample', 0, 1_000_000), 1000)
    .option('--all', 'open every stored secret', false)
    .option('--json', 'print the counts as JSON', false)
    .addHelpText(
      'after',
      '\nExit 0: everything opens. 1: something does not. 3: there is no certificate here that opens this database.' +
        '\nFingerprints are compared where worker/ is here too; "mpe secrets verify" counts by kind.',
    )
    .action(run);
}

interface Report {
  dataKeys: number;
  dataKeysFailing: { readonly dataKeyId: string; readonly reason: string }[];
  secrets: number;
  secretsFailing: number;
  /** Marked damaged before: known not to open, and not tried. */
  secretsMarked: number;
}

async function run(options: Options): Promise<void> {
  const config = loadConfig();
  const report = await withStore(config, (store) => verify(config, store, options), { readOnly: true });
  const failing = report.dataKeysFailing.length + report.secretsFailing;
  if (options.json) printJson({ ok: failing === 0, ...report });
  else {
    const { dataKeys, dataKeysFailing, secrets, secretsFailing } = report;
    print(
      `${dataKeys - dataKeysFailing.length} of ${dataKeys} data keys open.`,
      `${secrets - secretsFailing} of ${secrets} ${options.all ? 'stored secrets' : 'secrets of the sample'} open and are what they should be.`,
    );
    if (report.secretsMarked > 0)
      warn(
        `${report.secretsMarked} more were marked damaged before and not tried: "mpe secrets verify" says which have a ` +
          'successor that opens.',
      );
    for (const { dataKeyId, reason } of dataKeysFailing.slice(0, SHOWN))
      warn(`data key ${dataKeyId}: ${reason}`);
  }
  if (failing > 0) process.exitCode = 1;
}

async function verify(config: Config, store: SiteStore, options: Options): Promise<Report> {
  const clock = systemClock();
  const log = createLogger('certificate', { ...config, logLevel: 'error' });
  const site = await openRecoverySite(config.keysDir, store, { clock, log });
  try {
    const report: Report = {
      dataKeys: 0,
      dataKeysFailing: [],
      secrets: 0,
      secretsFailing: 0,
      secretsMarked: 0,
    };
    await openDataKeys(store, site, report);
    for await (const secret of secretsOf(store, options)) {
      if (secret.damaged) {
        report.secretsMarked += 1;
        continue;
      }
      report.secrets += 1;
      const finding = await checkSecret(site.keys, site.fingerprintKey, secret);
      if (finding.kind !== 'ok') report.secretsFailing += 1;
    }
    return report;
  } finally {
    site.keys.close();
  }
}

async function openDataKeys(store: SiteStore, site: RecoverySite, report: Report): Promise<void> {
  const { document, keeper, keys } = site;
  const own = { siteGuid: document.siteGuid, thumbprint: document.certificateThumbprint, keeper };
  const rows = ownRows(await store.readDataKeys(), own);
  keys.useRows(rows);
  for (const dataKeyId of rows.keys()) {
    report.dataKeys += 1;
    try {
      await keys.dataKey(dataKeyId);
    } catch (error) {
      if (!isMpeError(error, 'SECRET_UNREADABLE')) throw error;
      report.dataKeysFailing.push({ dataKeyId, reason: String(error.facts['reason']) });
    }
  }
}

async function* secretsOf(store: SiteStore, { all, sample }: Options): AsyncIterable<StoredSecret> {
  if (all) yield* store.streamSecrets();
  else if (sample > 0) yield* (await store.secretsStoredAfter(null, sample)).secrets.slice(-sample);
}
